package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"upall/intercept/shim"
	"upall/internal/testenv"
)

func TestMain(m *testing.M) {
	if script := os.Getenv("UPALL_TEST_HOLD_PROGRAM"); script != "" {
		holdProgram(script)
	}
	for variable, run := range map[string]func(string) error{lifeVariable: runLife, openVariable: openOnce} {
		if value := os.Getenv(variable); value != "" {
			exitAfter(run(value))
		}
	}
	os.Exit(testenv.Run(m))
}

// exitAfter ends a process that is another part than the tests.
func exitAfter(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// holdProgram starts a program and waits to be killed, as upall may be.
func holdProgram(script string) {
	_, err := start(shim.Options{}, []string{"sh", "-c", script}, os.Environ(), "/", func(_, line string) { fmt.Println(line) })
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	select {}
}

// printed collects output.
type printed struct {
	mu   sync.Mutex
	text []string
}

func (l *printed) add(stream, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, stream+": "+line)
}

func (l *printed) has(t *testing.T, want string) {
	t.Helper()
	testenv.Eventually(t, 10*time.Second, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !slices.Contains(l.text, want) {
			return fmt.Errorf("output is %q, want a line %q", l.text, want)
		}
		return nil
	})
}

func run(t *testing.T, opts shim.Options, script string) (*Program, *printed) {
	t.Helper()
	var out printed
	p, err := start(opts, []string{"sh", "-c", script}, os.Environ(), "/", out.add)
	if err != nil {
		t.Fatal(err)
	}
	return p, &out
}

func TestProgramExit(t *testing.T) {
	for script, want := range map[string]int{
		"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143, "kill -KILL $$": 137, "exec /nonexistent": 127, "exec /etc/passwd": 126,
	} {
		t.Run(script, func(t *testing.T) {
			p, _ := run(t, shim.Options{}, script)
			if code := p.Wait(); code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
		})
	}
}

func TestProgramNotFound(t *testing.T) {
	var out printed
	p, err := start(shim.Options{}, []string{"no-such-program"}, os.Environ(), "/", out.add)
	if err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(); code != shim.ExitNotFound {
		t.Errorf("exit code %d, want %d", code, shim.ExitNotFound)
	}
	out.has(t, "stderr: upall: no-such-program: No such file or directory")
}

func TestProgramDir(t *testing.T) {
	dir := t.TempDir()
	var out printed
	p, err := start(shim.Options{}, []string{"pwd"}, os.Environ(), dir, out.add)
	if err != nil {
		t.Fatal(err)
	}
	p.Wait()
	out.has(t, "stdout: "+dir)
}

func TestProgramSignal(t *testing.T) {
	p, out := run(t, shim.Options{}, `trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.05; done`)
	out.has(t, "stdout: ready")
	if err := p.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("a signal to an ended program: %v", err)
	}
}

// daemons leaves children behind in every way there is: in the background, in
// another session, orphaned, and deaf to signals.
const daemons = `
sleep 1000 &
setsid sleep 1001 &
(setsid sh -c 'trap "" TERM INT HUP; sleep 1002; sleep 1003' &)
echo ready
`

func TestProgramLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(*Program) error{
		"the program ends":         func(p *Program) error { return p.Signal(syscall.SIGUSR1) },
		"the program is killed":    (*Program).Kill,
		"upall closes the control": func(p *Program) error { return p.control.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			marker := "MARK=" + t.Name()
			var out printed
			p, err := start(shim.Options{}, []string{"sh", "-c", "trap 'exit 0' USR1" + daemons + "while :; do sleep 0.05; done"},
				append(os.Environ(), marker), "/", out.add)
			if err != nil {
				t.Fatal(err)
			}
			out.has(t, "stdout: ready")
			if err := end(p); err != nil {
				t.Fatal(err)
			}
			p.Wait()
			if left := marked(marker); len(left) > 0 {
				t.Errorf("left running: %v", left)
			}
		})
	}
}

func TestUpallKilled(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "UPALL_TEST_HOLD_PROGRAM="+daemons+"sleep 1004", "MARK="+t.Name())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line := make([]byte, 6); !readFull(out.Read, line) || string(line) != "ready\n" {
		t.Fatalf("output %q", line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	testenv.Eventually(t, 10*time.Second, func() error {
		if left := marked("MARK=" + t.Name()); len(left) > 0 {
			return fmt.Errorf("left running: %v", left)
		}
		return nil
	})
}

func readFull(read func([]byte) (int, error), buf []byte) bool {
	for n := 0; n < len(buf); {
		m, err := read(buf[n:])
		if n += m; err != nil {
			return n == len(buf)
		}
	}
	return true
}

// marked lists the processes with an entry in their environment.
func marked(entry string) (commands []string) {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		env, err := os.ReadFile(path)
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), entry) {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		commands = append(commands, strings.ReplaceAll(string(command), "\x00", " "))
	}
	return commands
}

func TestLongLines(t *testing.T) {
	p, out := run(t, shim.Options{}, `printf 'a%.0s' $(seq 100000); echo; printf 'no end'`)
	p.Wait()
	out.mu.Lock()
	defer out.mu.Unlock()
	var total int
	for _, l := range out.text {
		total += len(strings.TrimPrefix(l, "stdout: "))
	}
	if total != 100000+len("no end") || out.text[len(out.text)-1] != "stdout: no end" {
		t.Errorf("%d bytes in %d lines, the last %q", total, len(out.text), out.text[len(out.text)-1])
	}
}

func TestHostsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("127.99.0.1 db\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, out := run(t, shim.Options{Hosts: file, UserNS: os.Geteuid() != 0}, "getent hosts db; id -u")
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	out.has(t, "stdout: 127.99.0.1      db")
	out.has(t, fmt.Sprintf("stdout: %d", os.Geteuid()))
	if names, err := os.ReadFile("/etc/hosts"); err != nil || strings.Contains(string(names), "127.99.0.1") {
		t.Errorf("the host's own /etc/hosts is %q (%v)", names, err)
	}
}

func TestUser(t *testing.T) {
	testenv.NeedRoot(t)
	u := testenv.OrdinaryUser(t)
	p, out := run(t, shim.Options{User: &shim.User{UID: uint32(u.UID), GID: uint32(u.GID), Groups: []uint32{uint32(u.GID)}}}, "id -u; id -g; id -G; grep CapEff /proc/self/status")
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{fmt.Sprint(u.UID), fmt.Sprint(u.GID), "CapEff:\t0000000000000000"} {
		out.has(t, "stdout: "+want)
	}
}
