package control

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
)

// What was planned arrives as it was planned: each plan of the tests of compose
// comes back from JSON exactly, empty and missing lists apart from each other.
func TestSpecIsExact(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../compose/testdata/plan/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("plans of compose: %q, %v", files, err)
	}
	for _, file := range files {
		project, err := compose.Load(t.Context(), compose.Options{Files: []string{file}, Environment: []string{"FROM_HOST=yes"}})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := compose.NewPlan(project, compose.PlanOptions{Prefix: netip.MustParsePrefix("127.10.0.0/20")})
		if err != nil {
			t.Fatal(err)
		}
		want := &Spec{
			Plan: plan, Project: "services: {}\n", EnvFiles: []string{".env"}, Env: []string{"A=1"}, Disabled: "park", Intercept: true,
			HoldTimeout: time.Minute, Grace: new(time.Duration), Ending: Ending{OnExit: true, From: "web"}, Anew: []string{"web"}, Only: []string{},
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseSpec(bytes.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if !reflect.DeepEqual(want, got) {
			again, err := json.Marshal(got)
			t.Errorf("%s: differs (%v; -want +got):\n%s", file, err, cmp.Diff(string(text), string(again)))
		}
	}
}
