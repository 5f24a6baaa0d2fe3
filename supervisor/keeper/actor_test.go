package keeper

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"upall/intercept/shim"
	"upall/internal/linux"
)

// actorName is argv[0] of the test binary as a real supervisor: it adopts and
// says to the test, line by line, what happens.
const actorName = "keeper-test-actor"

// actor is one life of it.
type actor struct {
	*Conn
	entries []Entry
	life    int
	signals chan os.Signal
	test    io.ReadWriter
}

func (a *actor) say(format string, args ...any) {
	if _, err := fmt.Fprintf(a.test, format+"\n", args...); err != nil {
		os.Exit(124) // the test is over
	}
}

// die ends the process as a crash does.
func die() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }

func act(play, path string) int {
	signals := make(chan os.Signal, 10) // a test sends a few
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	conn, entries, life, err := Adopt()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 123
	}
	test, err := net.Dial("unix", path)
	if err != nil {
		return 120
	}
	a := &actor{conn, entries, life, signals, test}
	a.say("life %d", life)
	plays := map[string]func(*actor) int{"signals": actSignals, "orphan": actOrphan, "hang up": actHangUp, "limit": actLimit, "guard": actGuard, "burst": actBurst, "descriptors": actDescriptors}
	return plays[play](a)
}

func actSignals(a *actor) int {
	if a.Put("a", nil) != nil {
		return 1
	}
	a.say("%v", <-a.signals)
	if a.life < 3 {
		die()
	}
	if a.End(5) != nil {
		return 1
	}
	return 0
}

// actOrphan leaves a process behind that ends with a pipe, of which the keeper
// has the other end.
func actOrphan(a *actor) int {
	if a.life > 1 {
		a.say("an orphan of %s", parentOf(string(a.entries[0].Data)))
		a.say("%s", a.entries[0].Data)
		if a.Drop("orphan") != nil || closeAll(a.entries[0].FDs) != nil {
			return 1
		}
		<-a.Gone()
		return 0
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return 1
	}
	orphan := exec.Command("cat")
	orphan.Stdin = reader
	if orphan.Start() != nil || a.Put("orphan", []byte(strconv.Itoa(orphan.Process.Pid)), int(writer.Fd())) != nil {
		return 1
	}
	die()
	return 0
}

// actHangUp lives on without its keeper's connection.
func actHangUp(a *actor) int {
	if a.life > 1 {
		a.say("%s", text(a.entries))
		<-a.Gone()
		return 0
	}
	if a.Put("a", []byte("1")) != nil || a.Close() != nil {
		return 1
	}
	a.say("%d", os.Getpid())
	_, err := a.test.Read(make([]byte, 1)) // until the test is over
	a.say("%v", err)
	return 0
}

// actLimit says how many files a program may open that it executes.
func actLimit(a *actor) int {
	out, err := exec.Command("sh", "-c", "ulimit -Sn").Output()
	a.say("%s%v", out, err)
	return 0
}

func parentOf(pid string) string {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return err.Error()
	}
	_, parent, _ := strings.Cut(string(status), "PPid:\t")
	parent, _, _ = strings.Cut(parent, "\n")
	return parent
}

// actGuard leaves a service behind under its guard (intercept/shim).
func actGuard(a *actor) int {
	if a.life > 1 {
		guard := string(a.entries[0].Data)
		a.say("under %s: %v", parentOf(guard), parentOf(guard) == strconv.Itoa(os.Getppid()))
		control := os.NewFile(uintptr(a.entries[0].FDs[0].Disown()), "control")
		if _, err := control.Write([]byte{byte(syscall.SIGTERM)}); err != nil {
			return 1
		}
		_, err := io.Copy(io.Discard, control)
		a.say("the guard ends: %v", err)
		<-a.Gone()
		return 0
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 1
	}
	guard := &exec.Cmd{Path: "/proc/self/exe", Args: shim.Options{GuardFD: 3}.Args([]string{"sleep", "1000"})}
	guard.ExtraFiles = []*os.File{os.NewFile(uintptr(pair[1]), "guard")}
	if guard.Start() != nil {
		return 1
	}
	if _, err := syscall.Read(pair[0], make([]byte, 4)); err != nil { // the PID of sleep
		return 1
	}
	if a.Put("guard", []byte(strconv.Itoa(guard.Process.Pid)), pair[0]) != nil {
		return 1
	}
	die()
	return 0
}

// burst is how many entries actBurst puts.
const burst = 2000

// actBurst dies as soon as it has put.
func actBurst(a *actor) int {
	if a.life > 1 {
		for i, e := range a.entries {
			if e.Name != "entry/"+strconv.Itoa(i) || string(e.Data) != "data" || len(e.FDs) != 2 {
				a.say("entry %d is %q %q %d", i, e.Name, e.Data, len(e.FDs))
			}
		}
		a.say("%d entries", len(a.entries))
		<-a.Gone()
		return 0
	}
	for i := range burst {
		if a.Put("entry/"+strconv.Itoa(i), []byte("data"), 0, 1) != nil {
			return 1
		}
	}
	die()
	return 0
}

// actDescriptors says which of its descriptors a program that it executes would
// inherit, and what the first file says.
func actDescriptors(a *actor) int {
	for fd := range 64 {
		link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err == nil && fd > 2 && !linux.IsCloseOnExec(os.Getpid(), fd) {
			a.say("%d is inherited: %s", fd, link)
		}
	}
	if first := a.First(); first == nil {
		a.say("no first")
	} else if _, err := first.WriteString("hello"); err != nil || first.Close() != nil || a.First() != nil {
		a.say("first: %v", err)
	}
	a.say("done")
	if a.Put("a", nil, 0) != nil {
		return 1
	}
	if a.life < 3 {
		die()
	}
	<-a.Gone()
	return 0
}

// hear waits for the next life and returns what it says, until its end.
func (k *keeping) hear(t testing.TB) <-chan string {
	t.Helper()
	if err := k.lives.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	conn, err := k.lives.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 100) // more than any actor says
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer close(said)
		for scanner := bufio.NewScanner(conn); scanner.Scan(); {
			said <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		<-over
	})
	return said
}

// want waits for what is said next.
func want(t testing.TB, said <-chan string, line string) {
	t.Helper()
	select {
	case got, ok := <-said:
		if got != line {
			t.Fatalf("%q (%v), want %q", got, ok, line)
		}
	case <-time.After(limit):
		t.Fatalf("nothing is said within %v, want %q", limit, line)
	}
}
