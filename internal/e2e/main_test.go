package e2e

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// tools is the folder with upall, the test programs and the sources of the
// interpreted ones. Every user can read it.
var tools string

// parallel is how many tests run at once: most of them wait most of the time. More
// would keep two processors busy with containers, and each would take longer.
const parallel = "4"

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	flag.Parse()
	if !isSet("test.parallel") {
		if err := flag.Set("test.parallel", parallel); err != nil {
			return complain(err)
		}
	}
	folder, err := os.MkdirTemp("", "upall-e2e-")
	if err != nil {
		return complain(err)
	}
	tools = folder
	if err := install(folder); err != nil {
		return complain(errors.Join(err, os.RemoveAll(folder)))
	}
	status := testenv.Run(m)
	if err := os.RemoveAll(folder); err != nil {
		return complain(err)
	}
	return status
}

func isSet(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

func complain(err error) int {
	if _, werr := fmt.Fprintf(os.Stderr, "e2e: %v\nFAIL\n", err); werr != nil {
		return 2
	}
	return 1
}

// install fills the folder with what every test needs.
func install(folder string) error {
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	if err := copyTree("testdata/clients", filepath.Join(folder, "clients")); err != nil {
		return err
	}
	return errors.Join(
		installUpall(filepath.Join(folder, "upall")),
		buildStatic(folder, "server", "./testdata/server"),
		buildStatic(folder, "crowd", "./testdata/crowd"),
		buildStatic(folder, "goclient", "./testdata/clients/go"),
		buildStatic(folder, "loop", "./testdata/engine/loop"),
		buildStatic(folder, "load", "./testdata/load"),
		buildStatic(folder, "exchange", "./testdata/exchange"),
	)
}

// installUpall builds upall, or copies the binary that the environment variable
// UPALL_E2E_BINARY names.
func installUpall(target string) error {
	binary := os.Getenv("UPALL_E2E_BINARY")
	if binary == "" {
		return build(nil, "make", "--no-print-directory", "-C", "../..", "build", "BIN="+target)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	return os.WriteFile(target, content, 0o755)
}

func buildStatic(folder, name, source string) error {
	return build([]string{"CGO_ENABLED=0"}, "go", "build", "-o", filepath.Join(folder, name), source)
}

// build runs a compiler with more environment.
func build(env []string, name string, args ...string) error {
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), env...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// copyTree copies a folder so that every user can read the copy. The data of
// an example that was run in place stays behind.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && entry.Name() == "state" {
			return fs.SkipDir
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}
