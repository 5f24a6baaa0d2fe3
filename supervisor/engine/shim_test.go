package engine

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// What the shim reads is written anew while containers run: what is right stays
// the file that it was, for they have it mounted.
func TestShimFiles(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	h := shimHandOver{directory: filepath.Join(directory, "a-1")}
	listen := func(name string) string {
		t.Helper()
		path := filepath.Join(directory, name)
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return path
	}
	write := func(filter, metadata, socket string) map[string]os.FileInfo {
		t.Helper()
		if err := h.write([]byte(filter), metadata, socket); err != nil {
			t.Fatal(err)
		}
		files := map[string]os.FileInfo{}
		for _, name := range []string{filterFile, stateFile, socketFile} {
			var err error
			if files[name], err = os.Stat(filepath.Join(h.directory, name)); err != nil {
				t.Fatal(err)
			}
		}
		return files
	}
	first := listen("first")
	before := write("filter", "metadata", first)
	for name, mode := range map[string]os.FileMode{filterFile: 0o644, stateFile: 0o644, socketFile: os.ModeSocket | 0o666} {
		if got := before[name].Mode(); got != mode {
			t.Errorf("%s has mode %v, want %v", name, got, mode)
		}
	}
	for name, file := range write("filter", "metadata", first) {
		if !os.SameFile(file, before[name]) {
			t.Errorf("%s is another file, with the same in it", name)
		}
	}
	after := write("another filter", "metadata", listen("second"))
	for name, isSame := range map[string]bool{filterFile: false, stateFile: true, socketFile: false} {
		if os.SameFile(after[name], before[name]) != isSame {
			t.Errorf("%s: is the same file %v, want %v", name, !isSame, isSame)
		}
	}
	if got, err := os.ReadFile(filepath.Join(h.directory, filterFile)); err != nil || string(got) != "another filter" {
		t.Errorf("the filter is %q (%v)", got, err)
	}
}
