package shim

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upall/intercept/seccomp"
	"upall/internal/linux"
	"upall/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

// result is how a program behind the shim has ended.
type result struct {
	stdout, stderr string
	code           int
}

// run runs the command behind this test binary as a shim, at a path as in a
// container.
func run(t *testing.T, o Options, command ...string) result {
	t.Helper()
	args := o.Args(command)
	args[0] = "/.upall/" + Name
	return end(t, &exec.Cmd{Path: "/proc/self/exe", Args: args, Env: os.Environ()})
}

func end(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// agent attaches with what attach returns, and lets all calls go on. What it was
// given is sent to the channel.
func agent(t *testing.T, refusal error) (o Options, given <-chan seccomp.State) {
	t.Helper()
	dir := t.TempDir()
	filter, err := seccomp.Filter{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	state, err := seccomp.MarshalState("web-1")
	if err != nil {
		t.Fatal(err)
	}
	o = Options{Optional: true, Filter: filepath.Join(dir, "filter"), State: filepath.Join(dir, "state"), Socket: filepath.Join(dir, "agent")}
	for path, content := range map[string][]byte{o.Filter: filter, o.State: state} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	states := make(chan seccomp.State, 1) // tests hand over once
	a, err := seccomp.ListenAgent(seccomp.AgentOptions{Path: o.Socket, Attach: func(s seccomp.State, fd *seccomp.NotifyFD) error {
		states <- s
		if refusal != nil {
			return errors.Join(refusal, fd.Close())
		}
		go serve(t, fd)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("close the agent: %v", err)
		}
	})
	return o, states
}

// serve lets calls go on until nobody is left to call.
func serve(t *testing.T, fd *seccomp.NotifyFD) {
	var n seccomp.Notification
	for {
		err := fd.Receive(&n)
		if err == nil {
			err = fd.Continue(n.ID)
		}
		if err != nil && !errors.Is(err, seccomp.ErrInterrupted) && (!errors.Is(err, seccomp.ErrGone) || fd.IsDone()) {
			break
		}
	}
	if err := fd.Close(); err != nil {
		t.Errorf("close a notifyFD: %v", err)
	}
}

// status prints what the program itself sees of its filters.
var status = []string{"sh", "-c", "echo $$; grep -E '^(NoNewPrivs|Seccomp_filters):' /proc/self/status"}

func filters(n, nnp int) string {
	return fmt.Sprintf("NoNewPrivs:\t%d\nSeccomp_filters:\t%d\n", nnp, n)
}

func TestKernelHandOver(t *testing.T) {
	testenv.Need(t, linux.HasUserNotification() == nil, "seccomp user notification")
	own := end(t, exec.Command(status[0], status[1:]...))
	if !strings.HasSuffix(own.stdout, filters(0, 0)) {
		t.Skipf("the tests run under a filter of their own: %s", own.stdout)
	}
	o, given := agent(t, nil)
	got := run(t, o, status...)
	state := <-given
	nnp := 1
	if os.Geteuid() == 0 {
		nnp = 0 // set-uid programs go on to work
	}
	if want := fmt.Sprintf("%d\n%s", state.Process(), filters(1, nnp)); got != (result{want, "", 0}) || state.Metadata != "web-1" {
		t.Errorf("%+v of %+v, want %q", got, state, want)
	}
}

// TestOptional: without upall a container's program runs as if there were none.
func TestOptional(t *testing.T) {
	testenv.Need(t, linux.HasUserNotification() == nil, "seccomp user notification")
	const said = "upall: not running: connects are not held ("
	for _, tt := range []struct {
		name   string
		breaks func(*testing.T, *Options)
		stderr string
	}{
		{"no folder", func(_ *testing.T, o *Options) { o.Socket = "/.upall/none/agent"; o.Filter = "/.upall/none/filter" }, ""},
		{"no socket", func(_ *testing.T, o *Options) { o.Socket += "2" }, ""},
		{"a socket that was left", func(t *testing.T, o *Options) { o.Socket = leftSocket(t) }, ""},
		{"hangs up", func(t *testing.T, o *Options) { o.Socket = hangUp(t) }, said + "the interceptor does not answer: "},
		{"no filter", func(_ *testing.T, o *Options) { o.Filter += "2" }, said},
		{"not a filter", func(_ *testing.T, o *Options) { o.Filter = o.State }, said + "install the seccomp filter: Invalid argument)\n"},
		{"no state", func(_ *testing.T, o *Options) { o.State += "2" }, said},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, _ := agent(t, nil)
			tt.breaks(t, &o)
			must := o
			must.Optional = false
			// Beside each other: one waits for an interceptor that stays.
			t.Run("optional", func(t *testing.T) {
				t.Parallel()
				got := run(t, o, "sh", "-c", "echo runs; exit 3")
				if got.stdout != "runs\n" || got.code != 3 || !strings.HasPrefix(got.stderr, tt.stderr) || tt.stderr == "" && got.stderr != "" {
					t.Errorf("%+v, want the program's output and exit code, and on stderr %q", got, tt.stderr)
				}
				if strings.Count(got.stderr, "\n") > 1 {
					t.Errorf("more than one line: %q", got.stderr)
				}
			})
			t.Run("must", func(t *testing.T) {
				t.Parallel()
				if got := run(t, must, "echo", "runs"); got.code != ExitSetup || got.stdout != "" || !strings.HasPrefix(got.stderr, "upall: ") {
					t.Errorf("not optional: %+v, want exit code %d and why", got, ExitSetup)
				}
			})
		})
	}
}

// TestRefused: under a filter that nobody serves no program can run.
func TestRefused(t *testing.T) {
	testenv.Need(t, linux.HasUserNotification() == nil, "seccomp user notification")
	o, _ := agent(t, errors.New("unknown metadata"))
	got := run(t, o, "echo", "runs")
	if got.code != ExitSetup || got.stdout != "" || !strings.Contains(got.stderr, "did not take the notification fd") {
		t.Errorf("%+v, want exit code %d and why", got, ExitSetup)
	}
}

// leftSocket returns the path of a socket that nobody listens on.
func leftSocket(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

// hangUp returns the path of a socket whose owner says nothing.
func hangUp(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

func listen(t *testing.T) *net.UnixListener {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "socket"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// TestExecute: as Docker does it, not as a shell.
func TestExecute(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("script", "#!/bin/sh\necho \"$0 $1 $HOME\"", 0o755)
	write("plain", "echo a shell ran it", 0o755)
	write("lost", "#!/no/such/interpreter\n", 0o755)
	write("data", "data", 0o644)
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		command, stdout, stderr string
		code                    int
	}{
		{"script", dir + "/script arg /home/x\n", "", 0},
		{dir + "/script", dir + "/script arg /home/x\n", "", 0},
		{"./script", "./script arg /home/x\n", "", 0},
		{"none", "", `exec: "none": executable file not found in $PATH`, ExitNotFound},
		{"data", "", `exec: "data": executable file not found in $PATH`, ExitNotFound},
		{"folder", "", `exec: "folder": executable file not found in $PATH`, ExitNotFound},
		{"/none", "", `exec: "/none": No such file or directory`, ExitNotFound},
		{dir + "/data", "", `exec: "` + dir + `/data": Permission denied`, ExitNotExecutable},
		{dir + "/folder", "", `exec: "` + dir + `/folder": Is a directory`, ExitNotExecutable},
		{"plain", "", "exec " + dir + "/plain: Exec format error", 1},
		{"lost", "", "exec " + dir + "/lost: No such file or directory", 1},
	} {
		want := result{tt.stdout, tt.stderr, tt.code}
		if tt.stderr != "" {
			want.stderr = "upall: " + tt.stderr + "\n"
		}
		args := Options{Optional: true}.Args([]string{tt.command, "arg"})
		cmd := &exec.Cmd{Path: "/proc/self/exe", Args: args, Dir: dir, Env: []string{"HOME=/home/x", "PATH=/none:" + dir}}
		if got := end(t, cmd); got != want {
			t.Errorf("%s: %+v, want %+v", tt.command, got, want)
		}
	}
	inherited, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inherited.Close() }()
	args := Options{Optional: true}.Args([]string{"sh", "-c", "ls /proc/self/fd | wc -l"})
	with := end(t, &exec.Cmd{Path: "/proc/self/exe", Args: args, ExtraFiles: []*os.File{inherited}})
	without := end(t, &exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", "ls /proc/self/fd | wc -l"}, ExtraFiles: []*os.File{inherited}})
	if with != without {
		t.Errorf("descriptors with the shim %q, without %q", with.stdout, without.stdout)
	}
}

// TestName: the last part of argv[0] makes the shim, nothing else.
func TestName(t *testing.T) {
	for _, name := range []string{Name, "/" + Name, "a/b/" + Name} {
		args := Options{}.Args([]string{"echo", "runs"})
		args[0] = name
		if got := end(t, &exec.Cmd{Path: "/proc/self/exe", Args: args}); got != (result{"runs\n", "", 0}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{Name + "/x", "-test.list", "^$"}, SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}}
	if got := end(t, cmd); got != (result{"", "", 0}) {
		t.Errorf("another name: %+v, want the test binary's own output", got)
	}
}
