package keeper

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

// TestFirstLifeFails: where nothing was kept there is nothing to come back for.
func TestFirstLifeFails(t *testing.T) {
	k := run(t)
	k.next(t).leave(t, 7)
	k.wantExit(t, 7)

	k = run(t)
	k.next(t).kill(t)
	k.wantExit(t, 128+int(syscall.SIGKILL))
}

// TestFirstLifeIsAsked: before it has kept anything it may end by a signal.
func TestFirstLifeIsAsked(t *testing.T) {
	k := run(t)
	conn, _, fd := k.lend(t) // which does not adopt
	defer func() { _ = errors.Join(conn.Close(), fd.Close()) }()
	k.signal(t, syscall.SIGTERM)
	k.wantExit(t, 128+int(syscall.SIGTERM))
}

func TestEnd(t *testing.T) {
	k := run(t)
	l := k.next(t)
	l.put(t, "a", "")
	if err := l.End(3); err != nil {
		t.Fatal(err)
	}
	l.kill(t) // whatever its exit is
	k.wantExit(t, 3)
}

// TestEndOfLaterLife: what has been kept does not keep it from ending.
func TestEndOfLaterLife(t *testing.T) {
	k := run(t)
	l := k.next(t)
	l.put(t, "a", "")
	l.kill(t)
	l = k.next(t)
	if err := l.End(0); err != nil {
		t.Fatal(err)
	}
	l.leave(t, 9)
	k.wantExit(t, 0)
}

// TestExitIsNoEnd: an exit that was not announced is a crash.
func TestExitIsNoEnd(t *testing.T) {
	k := run(t)
	l := k.next(t)
	l.put(t, "a", "")
	if err := l.Drop("a"); err != nil {
		t.Fatal(err)
	}
	l.leave(t, 0)
	if l := k.next(t); l.number != 2 {
		t.Errorf("life %d, want 2", l.number)
	}
}

// TestClosedConnection: a supervisor may live on without its connection.
func TestClosedConnection(t *testing.T) {
	k := runAs(t, nil, actorName, "hang up")
	said := k.hear(t)
	want(t, said, "life 1")
	pid := <-said
	testenv.Eventually(t, limit, func() error {
		for file := range k.files(t) {
			if strings.HasPrefix(file, "socket:") {
				return errors.New("the keeper has its socket open")
			}
		}
		return nil
	})
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	said = k.hear(t)
	want(t, said, "life 2")
	want(t, said, "a=1+0")
}

// TestBackOff: lives that end at once, for want of descriptors here, follow each
// other at a growing distance.
func TestBackOff(t *testing.T) {
	k := prepare(t, nil, puppetName)
	complaints, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = complaints.Close() }()
	k.Stderr = writer
	k.start(t)
	_ = writer.Close() // the keeper has it
	l := k.next(t)
	l.put(t, "a", "1")
	files := k.limitFiles(t, 6) // standard files, signals, a pair of sockets
	began := time.Now()
	l.kill(t)
	const lives = 7 // pauses of 10, 20, ... 320 ms: 630 ms; fewer if one of them lasts long
	for scanner, n := bufio.NewScanner(complaints), 0; n < lives && scanner.Scan(); n++ {
		if got, want := scanner.Text(), "upall: hand descriptors to the supervisor: Too many open files"; got != want {
			t.Errorf("the keeper says %q, want %q", got, want)
		}
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("%d lives in %v", lives, took)
	}
	k.limitFiles(t, files)
	l = k.next(t)
	wantText(t, l.entries, "a=1+0")
	if l.number <= lives+1 {
		t.Errorf("life %d, want more than %d", l.number, lives+1)
	}
}

// limitFiles sets how many descriptors the keeper may have, and returns how many
// it might.
func (k *keeping) limitFiles(t testing.TB, n uint64) uint64 {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Prlimit(k.Process.Pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: n, Max: old.Max}
	if err := unix.Prlimit(k.Process.Pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	return old.Cur
}

// TestGone: without its keeper a supervisor goes on.
func TestGone(t *testing.T) {
	k := run(t)
	l := k.next(t)
	select {
	case <-l.Gone():
		t.Error("gone while the keeper lives")
	default:
	}
	k.signal(t, syscall.SIGKILL)
	select {
	case <-l.Gone():
	case <-time.After(limit):
		t.Fatal("nobody says that the keeper is gone")
	}
	if err := l.Put("a", nil); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("put without a keeper: %v, want EPIPE", err)
	}
	if err := syscall.Kill(l.pid, 0); err != nil {
		t.Errorf("the supervisor died with its keeper: %v", err)
	}
	l.leave(t, 0)
}

func (k *keeping) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := k.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// TestCommandLine: bad arguments and other names.
func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{{Name}, {Name, "--"}, {Name, "first=3"}, {Name, "first=77", "--", "x"}, {Name, "x"}} {
		out, err := (&exec.Cmd{Path: "/proc/self/exe", Args: args}).Output()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 125 || len(out) > 0 {
			t.Errorf("%q: %v, want exit code 125", args, err)
		}
	}
	for _, name := range []string{Name + "x", Name + "/x", "upall-shim/x"} {
		if err := (&exec.Cmd{Path: "/proc/self/exe", Args: []string{name, "-test.list", "^$"}}).Run(); err != nil {
			t.Errorf("%q: %v, want the test binary itself", name, err)
		}
	}
}

// TestKilledWhileAdopting: a life that dies before it has read everything loses
// nothing, and neither does what it sent, although the rules say it must not yet.
func TestKilledWhileAdopting(t *testing.T) {
	k := run(t)
	l := k.next(t)
	const n = 1000 // more than the socket takes at once
	for i := range n {
		l.put(t, strconv.Itoa(i), "data")
	}
	l.kill(t)
	l = k.unread(t)
	l.send(t, []byte("put new\x00"), nil, 0)
	l.hangUp(t)
	l.kill(t)
	if l = k.next(t); len(l.entries) != n+1 || l.entries[0].Name != "0" || l.entries[n].Name != "new" {
		t.Errorf("%d entries come back, want %d", len(l.entries), n+1)
	}
	for i := range n {
		if err := l.Drop(strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	l.kill(t)
	l = k.unread(t) // all of it is in the socket: reading from a dead one begins with ECONNRESET
	l.send(t, []byte("put newer\x00"), nil, 0)
	l.hangUp(t)
	l.kill(t)
	wantText(t, k.next(t).entries, "new=+0 newer=+0")
}

// unread returns the next life, which has read nothing of what comes back.
func (k *keeping) unread(t testing.TB) *life {
	t.Helper()
	control, pid, fd := k.lend(t)
	socket, err := connection(fd)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	close(over) // nobody watches
	l := &life{Conn: &Conn{socket: socket, over: over}, pid: pid, strings: control}
	t.Cleanup(func() { l.close(t) })
	return l
}
