package intercept

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"upall/intercept/seccomp"
	"upall/intercept/shim"
)

// patience bounds each wait for a fact.
const patience = 10 * time.Second

// actor is a process that performs calls on command, see testdata/actor.c.
type actor struct {
	t      *testing.T
	cmd    *exec.Cmd
	orders io.WriteCloser
	read   chan struct{} // closed when its output has ended

	mu      sync.Mutex
	lastID  int
	answers map[string]chan string // capacity 1, one answer each
}

// dead is the answer of an actor that ended without one.
const dead = "dead"

// actorVariable names a compiled actor, where there are no sources.
const actorVariable = "UPALL_INTERCEPT_ACTOR"

// actorDir is where it was compiled, "" before.
var actorDir string

var compiled = sync.OnceValues(func() (string, error) {
	if program := os.Getenv(actorVariable); program != "" {
		return program, nil
	}
	var err error
	if actorDir, err = os.MkdirTemp("", "upall-actor-"); err != nil {
		return "", err
	}
	program := filepath.Join(actorDir, "actor")
	sources, err := filepath.Glob("testdata/*.c")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("gcc", append([]string{"-O1", "-Wall", "-Werror", "-pthread", "-o", program}, sources...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("compile the actor: %w: %s", err, out)
	}
	return program, nil
})

// play starts an actor, of its usual program if that is "". Without options it has
// no filter.
func play(t *testing.T, o *shim.Options, program string) *actor {
	t.Helper()
	own, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	program = cmp.Or(program, own)
	a := &actor{t: t, answers: map[string]chan string{}, read: make(chan struct{})}
	a.cmd = &exec.Cmd{Path: program, Args: []string{program}, Stderr: os.Stderr}
	if o != nil {
		a.cmd.Path, a.cmd.Args = "/proc/self/exe", o.Args([]string{program})
	}
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	a.orders, err = a.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go a.listen(output)
	t.Cleanup(a.kill)
	return a
}

func (a *actor) listen(output io.Reader) {
	for lines := bufio.NewScanner(output); lines.Scan(); {
		id, text, _ := strings.Cut(lines.Text(), " ")
		a.mu.Lock()
		if c := a.answers[id]; c != nil {
			delete(a.answers, id)
			c <- strings.TrimSpace(text)
		}
		a.mu.Unlock()
	}
	a.mu.Lock()
	for id, c := range a.answers {
		delete(a.answers, id)
		c <- dead
	}
	a.mu.Unlock()
	close(a.read)
}

// kill ends the actor with all that it forked.
func (a *actor) kill() {
	if a.cmd.ProcessState != nil {
		return
	}
	if err := syscall.Kill(-a.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		a.t.Errorf("kill the actor: %v", err)
	}
	<-a.read
	_ = a.cmd.Wait() // it was killed
}

func (a *actor) signal(s syscall.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil {
		a.t.Fatal(err)
	}
}

// begin gives an order in one of the actor's modes.
func (a *actor) begin(mode, format string, args ...any) <-chan string {
	a.t.Helper()
	c := make(chan string, 1)
	a.mu.Lock()
	a.lastID++
	id := strconv.Itoa(a.lastID)
	a.answers[id] = c
	a.mu.Unlock()
	if _, err := fmt.Fprintf(a.orders, "%s %s %s\n", id, mode, fmt.Sprintf(format, args...)); err != nil {
		a.t.Fatal(err)
	}
	return c
}

// answer waits for the end of an order.
func (a *actor) answer(c <-chan string) string {
	a.t.Helper()
	select {
	case text := <-c:
		return text
	case <-time.After(patience):
		a.t.Fatal("the actor does not answer")
		return ""
	}
}

// do has the main thread do something.
func (a *actor) do(format string, args ...any) string {
	a.t.Helper()
	return a.answer(a.begin("-", format, args...))
}

// must does something that succeeds.
func (a *actor) must(format string, args ...any) {
	a.t.Helper()
	if got := a.do(format, args...); got != "ok" {
		a.t.Fatalf("%s: %s", fmt.Sprintf(format, args...), got)
	}
}

// number does something whose result is a number, a descriptor say.
func (a *actor) number(format string, args ...any) int {
	a.t.Helper()
	got := a.do(format, args...)
	n, err := strconv.Atoi(got)
	if got == "ok" {
		n, err = 0, nil
	}
	if err != nil {
		a.t.Fatalf("%s: %s", fmt.Sprintf(format, args...), got)
	}
	return n
}

// tcp opens a socket and listener one that listens.
func (a *actor) tcp() int {
	a.t.Helper()
	return a.number("socket 4 stream")
}

func (a *actor) listener(addr string, port uint16) int {
	a.t.Helper()
	family := "4"
	if strings.Contains(addr, ":") {
		family = "6"
	}
	fd := a.number("socket %s stream", family)
	a.must("bind %d %s %d", fd, addr, port)
	a.must("listen %d 100", fd)
	return fd
}

// want checks the end of an order.
func (a *actor) want(c <-chan string, want string) {
	a.t.Helper()
	if got := a.answer(c); got != want {
		a.t.Fatalf("the actor answers %q, want %q", got, want)
	}
}

// filterFile writes the filter where a shim finds it.
func filterFile(t *testing.T, dir string, f seccomp.Filter) string {
	t.Helper()
	program, err := f.Compile()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "filter")
	if err := os.WriteFile(path, program, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
