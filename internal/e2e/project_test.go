package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"upall/internal/testenv"
)

// project is a compose project of one test.
type project struct {
	t      *testing.T
	user   testenv.User
	name   string
	folder string // holds compose.yaml; belongs to the user
	env    []string
	upall  string // the executable, "" for the one of all tests
	netNS  bool   // run in a network namespace of its own, which needs root
}

// projectNumber makes the names of this process's projects unique.
var projectNumber atomic.Int64

// newProject writes a compose file with services into a folder of its own.
// In the file, TOOLS stands for the folder with the test programs and HERE
// for the project's own folder.
func newProject(t *testing.T, user testenv.User, services string) *project {
	t.Helper()
	p := emptyProject(t, user)
	p.write("compose.yaml", p.expand("x-upall: {runtime: process}\nservices:\n"+services))
	return p
}

func (p *project) expand(text string) string {
	return strings.NewReplacer("TOOLS", tools, "HERE", p.folder).Replace(text)
}

// exampleProject copies an example.
func exampleProject(t *testing.T, user testenv.User, example string) *project {
	t.Helper()
	p := emptyProject(t, user)
	if err := copyTree(filepath.Join("../../examples", example), p.folder); err != nil {
		t.Fatalf("copy the example %s: %v", example, err)
	}
	// A port of the host that two runs cannot both have is left to the system.
	p.env = append(p.env, "WEB_PORT=0")
	return p
}

func emptyProject(t *testing.T, user testenv.User) *project {
	t.Helper()
	name := fmt.Sprintf("e2e-%d-%d", os.Getpid(), projectNumber.Add(1))
	p := &project{t: t, user: user, name: name, folder: user.TempDir(t)}
	if err := os.Chmod(p.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *project) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.folder, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.handOver(path)
}

func (p *project) handOver(path string) {
	p.t.Helper()
	if err := os.Chown(path, p.user.UID, p.user.GID); err != nil {
		p.t.Fatal(err)
	}
}

// users runs a test as root and as an ordinary user, or only as the one that
// there is.
func users(t *testing.T, test func(t *testing.T, user testenv.User)) {
	t.Run("root", func(t *testing.T) {
		t.Parallel()
		test(t, root(t))
	})
	t.Run("user", func(t *testing.T) {
		t.Parallel()
		test(t, ordinary(t))
	})
}

// root is root, with a folder of its own.
func root(t *testing.T) testenv.User {
	t.Helper()
	testenv.NeedRoot(t)
	user := testenv.CurrentUser(t)
	home, err := os.MkdirTemp("", "upall-e2e-root-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Errorf("remove root's test folder: %v", err)
		}
	})
	// Services that change their user must be able to enter.
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	user.Home = home
	return user
}

// ordinary is a user without privileges who may make user namespaces.
func ordinary(t *testing.T) testenv.User {
	t.Helper()
	user := testenv.OrdinaryUser(t)
	testenv.NeedUserNS(t, user)
	return user
}
