package agent

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write writes an executable of its own folder.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "upall")
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// The image is named after what the executable holds, not after its path.
func TestImage(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"abc": "upall-agent:ba7816bf8f01cfea", // as sha256sum says
		"":    "upall-agent:e3b0c44298fc1c14",
	} {
		for range 2 {
			if got, err := Image(write(t, content)); err != nil || got != want {
				t.Errorf("the image of %q is %q (%v), want %q", content, got, err, want)
			}
		}
	}
	if _, err := Image(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without an executable the error is %v, want fs.ErrNotExist", err)
	}
}

// The image has the executable, the keeper's name of it and what mounts need, and
// nothing else: no shell, no library, no file of the caller's.
func TestPack(t *testing.T) {
	t.Parallel()
	executable, err := os.Open(write(t, "the program"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = executable.Close() }() // only read
	var packed bytes.Buffer
	if err := pack(&packed, executable); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`-rwxr-xr-x upall "the program" 0 0`,
		`L--------- upall-keeper -> upall 0 0`,
		`drwxr-xr-x tmp/ 0 0`,
		`drwxr-xr-x run/ 0 0`,
		`drwxr-xr-x var/ 0 0`,
		`drwxr-xr-x var/run/ 0 0`,
		`drwxr-xr-x var/lib/ 0 0`,
	}
	if diff := cmp.Diff(want, entries(t, &packed)); diff != "" {
		t.Errorf("entries of the image (- wanted, + there):\n%s", diff)
	}
}

// entries are those of an archive, with their modes, contents and owners.
func entries(t *testing.T, archive io.Reader) (lines []string) {
	t.Helper()
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		line := h.FileInfo().Mode().String() + " " + h.Name
		switch h.Typeflag {
		case tar.TypeReg:
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprintf(" %q", content)
		case tar.TypeSymlink:
			line += " -> " + h.Linkname
		}
		lines = append(lines, fmt.Sprintf("%s %d %d", line, h.Uid, h.Gid))
	}
}

// Where the engine does not read to the end, packing ends with an error.
func TestPackCut(t *testing.T) {
	t.Parallel()
	executable, err := os.Open(write(t, "the program"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = executable.Close() }() // only read
	source, sink := io.Pipe()
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pack(sink, executable); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the error is %v, want io.ErrClosedPipe", err)
	}
}
