package repotest

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// module is the path that the imports of this repository begin with.
const module = "upall"

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

// root returns the top folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// run runs a program in the top folder and returns its standard output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = root(t)
	out, err := command.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("%s: %v\n%s", command, err, exit.Stderr)
	}
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

// goPackage is what the tests need of go list's answer.
type goPackage struct {
	Dir          string
	ImportPath   string
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// path returns the import path inside the module: "intercept/park".
func (p goPackage) path() string {
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

// packages lists the packages of the module, those that do not compile too:
// the compiler says that better.
func packages(t *testing.T) []goPackage {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(run(t, "go", "list", "-e", "-json", "./...")))
	var list []goPackage
	for {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("read go list's answer: %v", err)
		}
		list = append(list, p)
	}
	if len(list) == 0 {
		t.Fatal("go list ./... names no package")
	}
	return list
}
