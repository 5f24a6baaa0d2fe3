package testenv

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// RunGoldens is Run for packages that use Golden.
func RunGoldens(m *testing.M) int {
	flag.Bool("update", false, "write the goldens in testdata anew")
	flag.Parse()
	return Run(m)
}

// Golden compares got with the file testdata/NAME.golden, which -update renews.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update renews it), got:\n%s\nwant:\n%s", path, got, want)
	}
}
