package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"upall/internal/linux"
	"upall/internal/testenv"
)

// limit is how long anything here may take.
const limit = 20 * time.Second

// puppetName is argv[0] of the test binary as a supervisor that does nothing but
// lend its connection to the test, which kills it when it likes.
const puppetName = "keeper-test-puppet"

func TestMain(m *testing.M) {
	switch os.Args[0] {
	case puppetName:
		os.Exit(puppet(os.Args[1]))
	case actorName:
		os.Exit(act(os.Args[1], os.Args[2]))
	}
	os.Exit(testenv.Run(m))
}

// puppet sends its end of the connection to the socket at path. Then it waits for
// its exit code.
func puppet(path string) int {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return 120
	}
	if _, _, err := conn.WriteMsgUnix([]byte(strconv.Itoa(os.Getpid())), syscall.UnixRights(socketFD), nil); err != nil {
		return 121
	}
	var code [1]byte
	if _, err := conn.Read(code[:]); err != nil {
		return 122
	}
	return int(code[0])
}

// keeping is a keeper under test.
type keeping struct {
	*exec.Cmd
	lives *net.UnixListener
	exit  chan int
}

// run starts a keeper whose supervisor is a puppet.
func run(t testing.TB) *keeping {
	t.Helper()
	return runAs(t, nil, puppetName)
}

// runAs starts a keeper with the path of the test's socket as last argument of
// its supervisor.
func runAs(t testing.TB, first *os.File, args ...string) *keeping {
	t.Helper()
	k := prepare(t, first, args...)
	k.start(t)
	return k
}

// prepare is runAs without the start.
func prepare(t testing.TB, first *os.File, args ...string) *keeping {
	t.Helper()
	dir, err := os.MkdirTemp("", "keeper") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "lives")
	lives, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lives.Close() })
	k := &keeping{Cmd: Command(append(args, path), first), lives: lives, exit: make(chan int, 1)}
	k.Stderr = os.Stderr
	k.SysProcAttr.Pdeathsig = syscall.SIGKILL // else it would outlive a test that is killed
	return k
}

// start starts the keeper; it ends with the test.
func (k *keeping) start(t testing.TB) {
	t.Helper()
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = k.Wait() // the code says it
		k.exit <- k.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = k.Process.Kill() // it may have ended
		<-over
	})
}

// wantExit waits for the keeper's exit code.
func (k *keeping) wantExit(t testing.TB, want int) {
	t.Helper()
	select {
	case got := <-k.exit:
		if got != want {
			t.Errorf("the keeper exits with %d, want %d", got, want)
		}
	case <-time.After(limit):
		t.Fatalf("the keeper does not exit within %v", limit)
	}
}

// files returns what the keeper has open, without the numbers.
func (k *keeping) files(t testing.TB) map[string]int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", k.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]int{}
	for _, e := range entries {
		if link, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			files[link]++
		}
	}
	return files
}

// life is one life of a puppet, whose connection the test has.
type life struct {
	*Conn
	entries []Entry
	number  int
	pid     int
	strings net.Conn // to the puppet
}

// lend waits for the next life and returns the connection to the puppet, its PID
// and its end of the keeper's socket.
func (k *keeping) lend(t testing.TB) (net.Conn, int, *linux.FD) {
	t.Helper()
	if err := k.lives.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	conn, err := k.lives.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	message, fds, err := receive(conn, make([]byte, 100), make([]byte, 100))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(message))
	if err != nil {
		t.Fatal(err)
	}
	return conn, pid, fds[0]
}

// next waits for the next life and adopts in its place. The life's descriptors
// are closed with the test.
func (k *keeping) next(t testing.TB) *life {
	t.Helper()
	control, pid, fd := k.lend(t)
	conn, entries, number, err := adopt(fd, firstFD)
	if err != nil {
		t.Fatal(err)
	}
	l := &life{conn, entries, number, pid, control}
	t.Cleanup(func() { l.close(t) })
	return l
}

func (l *life) close(t testing.TB) {
	t.Helper()
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	_ = l.strings.Close() // the puppet may have closed it
	for _, e := range l.entries {
		if err := closeAll(e.FDs); err != nil {
			t.Error(err)
		}
	}
}

// hangUp closes the test's duplicate of the connection: the puppet's is the last.
func (l *life) hangUp(t testing.TB) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// kill ends the life as a crash does.
func (l *life) kill(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(l.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// leave has the puppet exit.
func (l *life) leave(t testing.TB, code byte) {
	t.Helper()
	if _, err := l.strings.Write([]byte{code}); err != nil {
		t.Fatal(err)
	}
}

// put puts an entry that must be taken.
func (l *life) put(t testing.TB, name, data string, fds ...int) {
	t.Helper()
	if err := l.Put(name, []byte(data), fds...); err != nil {
		t.Fatal(err)
	}
}

// text returns the entries as "name=data+N" with the number of descriptors.
func text(entries []Entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s=%s+%d", e.Name, e.Data, len(e.FDs)))
	}
	return strings.Join(out, " ")
}

func wantText(t testing.TB, entries []Entry, want string) {
	t.Helper()
	if got := text(entries); got != want {
		t.Errorf("entries %q, want %q", got, want)
	}
}

// open returns an own temporary file, gone from its folder, that holds content.
func open(t testing.TB, content string) *os.File {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "kept")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if _, err := file.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return file
}

func contentOf(t testing.TB, fd *linux.FD) string {
	t.Helper()
	buf := make([]byte, 100)
	n, err := syscall.Pread(fd.Int(), buf, 0)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.Clone(buf[:n]))
}

// outlive waits until the life is none of the short ones, after which the keeper
// pauses.
func (l *life) outlive(t testing.TB) {
	t.Helper()
	select {
	case <-time.After(60 * time.Millisecond):
	case <-l.Gone():
		t.Fatal("the keeper is gone")
	}
}
