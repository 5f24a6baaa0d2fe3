package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

// newKeeper needs no privilege.
func newKeeper(t *testing.T) *testKeeper {
	t.Helper()
	k := &testKeeper{t: t, base: filepath.Join(t.TempDir(), "base")}
	t.Cleanup(k.close)
	return k
}

func on(want string) func(string) bool { return func(line string) bool { return line == want } }

func never(string) bool { return false }

// TestAdopt: a program goes on over a crash, and its unfinished line with it.
func TestAdopt(t *testing.T) {
	k := newKeeper(t)
	proceed := filepath.Join(t.TempDir(), "proceed")
	script := fmt.Sprintf(`echo begun; printf half; echo seen >&2
		while [ ! -e %s ]; do sleep 0.01; done
		echo ' of it'; echo $$; exit 7`, proceed)
	if end := k.live(script, on("seen")); end != "starting" {
		t.Errorf("the life that was killed saw the end: %s", end)
	}
	// Another life that is killed, without anything happening in it.
	cmd, _, serve := k.begin("exit 99")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	serve.Wait()
	if err := os.WriteFile(proceed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if end := k.live("exit 99", never); end != "exit code 7" {
		t.Errorf("the end is %q", end)
	}
	if said := slices.Compact(k.said); !slices.Contains(said, "begun") || !slices.Contains(said, "half of it") {
		t.Errorf("the program said %q", said)
	}
	if len(k.kept) > 0 {
		t.Errorf("the keeper still has %v", k.kept)
	}
}

// TestAdoptEveryLine kills life after life of a program that never stops talking.
func TestAdoptEveryLine(t *testing.T) {
	const last = 60_000
	k := newKeeper(t)
	script := fmt.Sprintf("seq 1 %d; exit 3", last)
	end, lives := "", 0
	for ; !strings.HasPrefix(end, "exit code") && !t.Failed(); lives++ {
		count, limit := 0, 1+rand.IntN(last/8)
		end = k.live(script, func(string) bool {
			count++
			return count == limit
		})
	}
	if end != "exit code 3" || lives < 3 {
		t.Errorf("%d lives, the last ended with %q", lives, end)
	}
	next := 1
	for n, line := range k.said {
		if n > 0 && line == k.said[n-1] {
			continue // a crash came between telling it and noting that
		}
		if line != strconv.Itoa(next) {
			t.Fatalf("line %d of %d is %q, want %d", n, len(k.said), line, next)
		}
		next++
	}
	if next != last+1 || len(k.said) >= last+lives {
		t.Errorf("%d lines up to %d in %d lives", len(k.said), next-1, lives)
	}
}

// TestAdoptStarting kills lives at any moment of a start. The program runs once:
// nobody forgets that it has begun, and it begins if it has not.
func TestAdoptStarting(t *testing.T) {
	began := 0
	for range 8 {
		k := newKeeper(t)
		dir := t.TempDir()
		runs, proceed := filepath.Join(dir, "runs"), filepath.Join(dir, "proceed")
		script := fmt.Sprintf("echo run >>%s; while [ ! -e %s ]; do sleep 0.01; done; exit 4", runs, proceed)
		for range 2 {
			k.live(script, func(string) bool { // it starts, or adopts
				<-time.After(rand.N(6 * time.Millisecond))
				return true
			})
			began = max(began, len(k.kept))
		}
		if err := os.WriteFile(proceed, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if end := k.live(script, never); end != "exit code 4" {
			t.Errorf("the end is %q", end)
		}
		if text, err := os.ReadFile(runs); err != nil || string(text) != "run\n" {
			t.Errorf("the program ran as %q (%v)", text, err)
		}
	}
	if began != 2 {
		t.Error("no life was killed with a program in the keeper")
	}
}

// TestAdoptEnded: while nobody is there a program writes and ends.
func TestAdoptEnded(t *testing.T) {
	k := newKeeper(t)
	dir := t.TempDir()
	proceed, done := filepath.Join(dir, "proceed"), filepath.Join(dir, "done")
	k.live(fmt.Sprintf(`echo begun; while [ ! -e %s ]; do sleep 0.01; done
		echo lonely; echo 1 >%s; exit 5`, proceed, done), on("begun"))
	if err := os.WriteFile(proceed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, func() error { return hasLine(done, "1\n") })
	if end := k.live("exit 99", never); end != "exit code 5" || !slices.Contains(k.said, "lonely") {
		t.Errorf("the end is %q, and %q was said", end, k.said)
	}
}

// TestAdoptKilledGuard: nobody is left to tell the exit code.
func TestAdoptKilledGuard(t *testing.T) {
	k := newKeeper(t)
	k.live(`cat /proc/$PPID/comm; echo $PPID; exec sleep 1000`, func(line string) bool {
		pid, err := strconv.Atoi(line)
		return err == nil && unix.Kill(pid, unix.SIGKILL) == nil
	})
	if end := k.live("exit 99", never); end != "exit code 137" || k.said[0] != "upall-guard" {
		t.Errorf("the end is %q, and %q was said", end, k.said)
	}
}

// TestKeeperEnds: with the last that has the sockets the program ends, and its
// project can come up again.
func TestKeeperEnds(t *testing.T) {
	k := newKeeper(t)
	k.live("echo begun; exec sleep 1006", on("begun"))
	if _, err := OpenState(k.base, "p", os.Getpid()); !errors.Is(err, ErrRunning) {
		t.Errorf("between two lives: %v", err)
	}
	if pid, running := Holder(k.base, "p"); !running || pid != os.Getpid() {
		t.Errorf("got pid %d, running %t, want the keeper's", pid, running)
	}
	marker := markerVariable + "=" + filepath.Join(k.base, "p")
	if len(marked(marker)) == 0 {
		t.Error("the program has ended with the first life")
	}
	k.close()
	testenv.Eventually(t, 10*time.Second, func() error {
		if left := marked(marker); len(left) > 0 {
			return fmt.Errorf("left running: %v", left)
		}
		return nil
	})
	if end := k.live("echo again", never); end != "exit code 0" || k.said[len(k.said)-1] != "again" {
		t.Errorf("the end is %q, and %q was said", end, k.said)
	}
	if _, err := os.Stat(k.base); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left in %s: %v", k.base, err)
	}
}

// TestAdoptAsUser runs the tests of lives again without any privilege.
func TestAdoptAsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the tests run as an ordinary user already")
	}
	user := testenv.OrdinaryUser(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := user.Command(t, user.Install(t, self), "-test.v", "-test.run", "^Test(Adopt|KeeperEnds|KeptRuns|OpenAgain|State)")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestAdoptEveryLine") {
		t.Errorf("as %s: %v\n%s", user.Name, err, out)
	}
}
