package tui

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"upall/internal/testenv"
)

// update returns whether goldens are to be written anew.
func update() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the goldens in testdata anew")
	flag.Parse()
	os.Exit(testenv.Run(m))
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if update() {
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
