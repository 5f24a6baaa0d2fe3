package compose

import (
	"context"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// compareGolden compares text with a file, or writes the file with -update.
func compareGolden(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", path, diff)
	}
}

// testPrefix is the address prefix of the tests' plans.
func testPrefix() netip.Prefix { return netip.MustParsePrefix("127.64.0.0/20") }

// loadAndPlan is what a command does with its options.
func loadAndPlan(ctx context.Context, o Options, p PlanOptions) (*Plan, error) {
	o.Sources = &Sources{}
	p.Sources = o.Sources
	if !p.Prefix.IsValid() {
		p.Prefix = testPrefix()
	}
	project, err := Load(ctx, o)
	if err != nil {
		return nil, err
	}
	return NewPlan(project, p)
}

// TestBadFiles holds the one line that each file of testdata/bad gives.
func TestBadFiles(t *testing.T) {
	golden, err := filepath.Abs("testdata/bad.golden")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("testdata/bad")
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	var got strings.Builder
	for _, file := range files {
		_, err := loadAndPlan(t.Context(), Options{Files: []string{file}, Environment: []string{}}, PlanOptions{})
		switch {
		case err == nil:
			t.Errorf("%s: no error", file)
			continue
		case !IsInputError(err):
			t.Errorf("%s: %T is no input error: %v", file, err, err)
		case strings.ContainsAny(err.Error(), "\n\r"):
			t.Errorf("%s: more than one line: %q", file, err)
		case !strings.HasPrefix(err.Error(), file):
			t.Errorf("%s: no file is named: %v", file, err)
		}
		got.WriteString(err.Error() + "\n")
	}
	compareGolden(t, golden, got.String())
}
