package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// openVariable has this test binary open the state of project p below its value,
// and close it.
const openVariable = "UPALL_TEST_OPEN_STATE"

func openOnce(base string) error {
	s, err := OpenState(base, "p", os.Getpid())
	if err != nil {
		return err
	}
	return s.Close()
}

func TestStateLock(t *testing.T) {
	base := t.TempDir()
	first, err := OpenState(base, "p", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(base, "p", os.Getpid()); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second one: %v", err)
	}
	other, err := OpenState(base, "q", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if first.Prefix == other.Prefix {
		t.Errorf("both have the range %v", first.Prefix)
	}
	if err := errors.Join(first.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(base); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left in %s: %v", base, err)
	}
}

func TestStateCleansUp(t *testing.T) {
	base := t.TempDir()
	left := filepath.Join(base, "p", "services", "db")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	// A process of a killed upall whose guard was killed too.
	cmd := exec.Command("sleep", "1005")
	cmd.Env = []string{markerVariable + "=" + filepath.Join(base, "p")}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s, err := OpenState(base, "p", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process left ended with %v", err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there", left)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestStateAfterReboot: /run is empty; or /tmp is not, and nothing runs.
func TestStateAfterReboot(t *testing.T) {
	base := filepath.Join(t.TempDir(), "run", "upall")
	for _, left := range []string{"", "p.lock", "p/private/agent.sock"} {
		if left != "" {
			if err := os.MkdirAll(filepath.Join(base, filepath.Dir(left)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(base, left), []byte("1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := OpenState(base, "p", os.Getpid())
		if err != nil {
			t.Fatalf("%q was left: %v", left, err)
		}
		if _, err := os.Stat(s.Socket()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q was left: a socket is there: %v", left, err)
		}
		if pid, running := Holder(base, "p"); !running || pid != os.Getpid() {
			t.Errorf("%q was left: pid %d, running %t", left, pid, running)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestStateWithoutKeeper: the keeper was killed, the supervisor goes on and says
// so. Nobody else may take the project.
func TestStateWithoutKeeper(t *testing.T) {
	base := t.TempDir()
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	s, err := OpenState(base, "p", dead.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if pid, running := Holder(base, "p"); running {
		t.Errorf("pid %d, which is dead, is said to run", pid)
	}
	if _, err := OpenState(base, "p", os.Getpid()); !errors.Is(err, ErrRunning) {
		t.Errorf("a second one: %v", err)
	}
	if err := s.Name(os.Getpid()); err != nil {
		t.Error(err)
	}
	if pid, running := Holder(base, "p"); !running || pid != os.Getpid() {
		t.Errorf("pid %d, running %t", pid, running)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestStateSparesItsStarter: a shell that a service of the project has left may
// bring it up again, and lives on.
func TestStateSparesItsStarter(t *testing.T) {
	base := t.TempDir()
	if err := os.Mkdir(filepath.Join(base, "p"), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `"$0"; echo "ended with $?"`, self)
	cmd.Env = append(os.Environ(), openVariable+"="+base, markerVariable+"="+filepath.Join(base, "p"), "GORACE=atexit_sleep_ms=1")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ended with 0\n" {
		t.Errorf("the shell: %v, output %q", err, out)
	}
}

func TestStateOfAnother(t *testing.T) {
	base := filepath.Join(t.TempDir(), "upall")
	if err := os.Mkdir(base, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(base, "p", os.Getpid()); err == nil {
		t.Error("a directory that anyone may write to was taken")
	}
}
