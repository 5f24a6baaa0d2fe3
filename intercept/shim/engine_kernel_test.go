package shim

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// staticImage is FROM scratch, with one static program and the user 65534.
const staticImage = "upall-test/static:1"

// box runs containers behind the shim.
type box struct {
	testing.TB
	docker, binary string
}

func newBox(t *testing.T) *box {
	t.Helper()
	testenv.NeedEngine(t)
	b := &box{TB: t, docker: testenv.NeedProgram(t, "docker"), binary: filepath.Join(t.TempDir(), Name)}
	err := exec.CommandContext(t.Context(), b.docker, "image", "inspect", staticImage).Run()
	testenv.Need(t, err == nil, "the image "+staticImage+" (hack/images $DOCKER_HOST makes it)")
	sources, err := filepath.Glob("*.c")
	if err != nil {
		t.Fatal(err)
	}
	// The constructor alone, for linking all of upall statically takes long.
	main := filepath.Join(t.TempDir(), "main.c")
	if err := os.WriteFile(main, []byte("int main(void) { return 99; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gcc := testenv.NeedProgram(t, "gcc")
	out, err := exec.CommandContext(t.Context(), gcc, append([]string{"-static", "-O2", "-Wall", "-Werror", "-o", b.binary, main}, sources...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("compile the shim: %v: %s", err, out)
	}
	return b
}

// args are those of docker for a container of the static program, where o's files
// are in one folder of the host.
func (b *box) args(o Options, options []string, command ...string) []string {
	b.Helper()
	dir := filepath.Dir(o.Socket)
	const seen = "/.upall/instance"
	o.Socket, o.Filter, o.State = seen+"/agent", seen+"/filter", seen+"/state"
	args := append([]string{
		"--network", "none", "--volume", b.binary + ":/.upall/" + Name + ":ro", "--volume", dir + ":" + seen + ":ro",
		"--entrypoint", "/.upall/" + Name,
	}, options...)
	return append(append(args, staticImage), o.Args(append([]string{"/static"}, command...))[1:]...)
}

func (b *box) run(args ...string) string {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), b.docker, args...).CombinedOutput()
	if err != nil {
		b.Fatalf("docker %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// shared has the files of an agent readable, and its socket writable, for all
// users of containers.
func shared(t *testing.T, o Options) Options {
	t.Helper()
	for path, mode := range map[string]os.FileMode{filepath.Dir(o.Socket): 0o755, o.Filter: 0o644, o.State: 0o644, o.Socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// TestKernelContainer: the shim needs nothing of an image and no privilege.
func TestKernelContainer(t *testing.T) {
	b := newBox(t)
	for name, options := range map[string][]string{
		"bare":              {"--read-only", "--cap-drop", "ALL"},
		"root":              {"--user", "0", "--cap-add", "SYS_ADMIN"},
		"bare root":         {"--user", "0", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"},
		"another user":      {"--user", "1234:1234", "--security-opt", "no-new-privileges"},
		"privileged":        {"--user", "0", "--privileged"},
		"unconfined":        {"--security-opt", "seccomp=unconfined"},
		"working directory": {"--workdir", "/.upall", "--env", "PATH=/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			o, given := agent(t, nil)
			plain := append(append([]string{"run", "--rm", "--network", "none"}, options...), staticImage, "version")
			if out, err := exec.CommandContext(t.Context(), b.docker, plain...).CombinedOutput(); err != nil {
				t.Skipf("the engine cannot run such a container here at all: %s", out)
			}
			if got := b.run(append([]string{"run", "--rm"}, b.args(shared(t, o), options, "self")...)...); got != "self" {
				t.Errorf("the container said %q, want what it sent to itself", got)
			}
			select {
			case state := <-given:
				if state.Metadata != "web-1" || state.Process() == 0 {
					t.Errorf("handed over %+v, want web-1 and a process", state)
				}
			default:
				t.Error("nothing was handed over")
			}
		})
	}
}

// TestKernelContainerStops: behind the shim the program is the container's
// process, so that a stop reaches it.
func TestKernelContainerStops(t *testing.T) {
	b := newBox(t)
	o, given := agent(t, nil)
	name := "upall-h-shim-" + strconv.Itoa(os.Getpid())
	b.run(append([]string{"run", "--detach", "--name", name}, b.args(shared(t, o), []string{"--read-only", "--cap-drop", "ALL"}, "serve")...)...)
	t.Cleanup(func() { // the test's context is over
		if out, err := exec.Command(b.docker, "rm", "--force", name).CombinedOutput(); err != nil {
			t.Errorf("remove the container: %v: %s", err, out)
		}
	})
	state := <-given
	if got := b.run("inspect", "--format", "{{.State.Pid}}", name); got != strconv.Itoa(state.Process()) {
		t.Errorf("handed over by process %d, the container's is %s", state.Process(), got)
	}
	b.run("stop", "--time", "30", name)
	// The signal ended it, and not the time, which gives 137.
	if got := b.run("inspect", "--format", "{{.State.ExitCode}}", name); got != "2" && got != "143" {
		t.Errorf("stopped with exit code %s, want that of SIGTERM; it said %s", got, b.run("logs", name))
	}
}

// TestKernelContainerAlone: started without upall, it is as if there were no shim.
func TestKernelContainerAlone(t *testing.T) {
	b := newBox(t)
	for name, o := range map[string]Options{
		"no files":          {Optional: true, Socket: filepath.Join(t.TempDir(), "agent"), Filter: "f", State: "s"},
		"files, no socket":  without(t),
		"a socket was left": shared(t, withLeftSocket(t)),
	} {
		if got := b.run(append([]string{"run", "--rm"}, b.args(o, nil, "self")...)...); got != "self" {
			t.Errorf("%s: the container said %q, want what it sent to itself", name, got)
		}
	}
	if os.Geteuid() != 0 {
		return // the next socket is for root alone
	}
	o, _ := agent(t, nil)
	got := b.run(append([]string{"run", "--rm"}, b.args(o, nil, "self")...)...)
	for _, want := range []string{"self", "upall: not running: connects are not held (connect to the interceptor: Permission denied)"} {
		if !slices.Contains(strings.Split(got, "\n"), want) {
			t.Errorf("the container said %q, want a line %q", got, want)
		}
	}
}

func without(t *testing.T) Options {
	t.Helper()
	o, _ := agent(t, nil)
	if err := os.Remove(o.Socket); err != nil {
		t.Fatal(err)
	}
	return o
}

func withLeftSocket(t *testing.T) Options {
	t.Helper()
	o := without(t)
	if err := os.Rename(leftSocket(t), o.Socket); err != nil {
		t.Fatal(err)
	}
	return o
}
