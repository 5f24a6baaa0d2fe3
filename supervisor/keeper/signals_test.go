package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"upall/internal/testenv"
)

// TestSignals: those that ask to end reach each life that has adopted, the others
// nobody.
func TestSignals(t *testing.T) {
	k := runAs(t, nil, actorName, "signals")
	said := k.hear(t)
	want(t, said, "life 1")
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGTSTP} {
		k.signal(t, s)
	}
	k.signal(t, syscall.SIGINT)
	want(t, said, "interrupt") // and dies of it
	said = k.hear(t)
	want(t, said, "life 2")
	want(t, said, "interrupt") // for it has not ended
	said = k.hear(t)
	want(t, said, "life 3")
	want(t, said, "interrupt")
	k.wantExit(t, 5)
}

// TestSignalBeforeAdoption: a supervisor that comes back is not killed by what it
// cannot take yet.
func TestSignalBeforeAdoption(t *testing.T) {
	k := run(t)
	l := k.next(t)
	l.put(t, "a", "")
	l.kill(t)
	conn, pid, fd := k.lend(t)
	k.signal(t, syscall.SIGTERM)
	k.signal(t, syscall.SIGTERM)
	status := fmt.Sprintf("/proc/%d/status", k.Process.Pid)
	testenv.Eventually(t, limit, func() error { return contains(status, "ShdPnd:\t0000000000000000") })
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("died before it adopted: %v", err)
	}
	c, _, _, err := adopt(fd, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the signal was lost: %v", err)
	}
	_ = conn.Close() // it was only read
	if l := k.next(t); l.number != 3 {
		t.Errorf("life %d, want 3", l.number)
	}
}

// contains returns nil if the file holds the text.
func contains(path, text string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(content), text) {
		return fmt.Errorf("%s: no %q in it:\n%s", path, text, content)
	}
	return nil
}

// TestOrphans: what a dead supervisor leaves behind becomes the keeper's child
// and no zombie.
func TestOrphans(t *testing.T) {
	k := runAs(t, nil, actorName, "orphan")
	said := k.hear(t)
	want(t, said, "life 1")
	said = k.hear(t)
	want(t, said, "life 2")
	want(t, said, fmt.Sprintf("an orphan of %d", k.Process.Pid))
	pid := <-said
	testenv.Eventually(t, limit, func() error {
		if status, err := os.ReadFile("/proc/" + pid + "/status"); err == nil {
			return fmt.Errorf("the orphan is still there: %s", status)
		}
		return nil
	})
}

// TestGuard: a service goes on under its guard when the supervisor dies, for the
// keeper has the socket that the guard waits at.
func TestGuard(t *testing.T) {
	k := runAs(t, nil, actorName, "guard")
	want(t, k.hear(t), "life 1")
	said := k.hear(t)
	want(t, said, "life 2")
	want(t, said, fmt.Sprintf("under %d: true", k.Process.Pid))
	want(t, said, "the guard ends: <nil>")
}
