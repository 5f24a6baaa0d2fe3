package compose

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
)

// FuzzLoad: no input crashes Load, NewPlan, Rewrite or Unordered, every error
// is one line, and two runs give the same plan. Other files are left alone:
// extends and include would let the input read whatever it names.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/plan/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	alone := func(o *loader.Options) { o.SkipInclude, o.SkipExtends = true, true }
	f.Fuzz(func(t *testing.T, content []byte) {
		run := func() (string, error) {
			sources := &Sources{}
			project, err := load(t.Context(), Options{
				Files: []string{"-"}, Stdin: bytes.NewReader(content), Name: "fuzz",
				Environment: []string{"COMPOSE_DISABLE_ENV_FILE=1"}, Sources: sources,
			}, alone)
			if err != nil {
				return "", err
			}
			plan, err := NewPlan(project, PlanOptions{Prefix: testPrefix(), Sources: sources})
			if err != nil {
				return "", err
			}
			Unordered(Rewrite(project, plan))
			return plan.text("\x00"), nil
		}
		first, err := run()
		if err != nil && strings.ContainsAny(err.Error(), "\n\r\x1b") {
			t.Fatalf("not one line: %q", err)
		}
		second, again := run()
		if first != second || (err == nil) != (again == nil) {
			t.Fatalf("two runs differ: %v, %v\n%s\n%s", err, again, first, second)
		}
	})
}

// FuzzOneLine: whatever a user writes into a file, an error stays one line.
func FuzzOneLine(f *testing.F) {
	f.Add("a\nb\x1b[31m\u2028c")
	f.Fuzz(func(t *testing.T, text string) {
		got := (&FieldError{File: text, Path: text, Reason: text}).Error()
		if strings.ContainsAny(got, "\n\r\x1b\u0085\u2028\u2029") {
			t.Errorf("%q", got)
		}
	})
}
