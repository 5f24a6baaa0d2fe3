package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"upall/internal/testenv"
)

func TestHolder(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	if pid, running := Holder(base, "shop"); running {
		t.Errorf("pid %d holds a project that was never up", pid)
	}
	state, err := OpenState(base, "shop", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if pid, running := Holder(base, "shop"); !running || pid != os.Getpid() {
		t.Errorf("got pid %d, running %t, want this process", pid, running)
	}
	if pid, running := Holder(base, "other"); running {
		t.Errorf("pid %d holds another project", pid)
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	if pid, running := Holder(base, "shop"); running {
		t.Errorf("pid %d holds a project that is down", pid)
	}
}

// TestHolderOfLeftover reads a lock file whose pid is no upall: of a process that
// has taken the number since, of none, of nothing.
func TestHolderOfLeftover(t *testing.T) {
	base := t.TempDir()
	for _, text := range []string{fmt.Sprintf("%d\n", os.Getpid()), "4194304\n", "-1\n", "0\n", "", "x"} {
		if err := os.WriteFile(filepath.Join(base, "shop.lock"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid, running := Holder(base, "shop"); running {
			t.Errorf("%q: pid %d is said to run", text, pid)
		}
		if found, err := Terminate(t.Context(), base, "shop"); found || err != nil {
			t.Errorf("%q: Terminate found %t, error %v", text, found, err)
		}
	}
}

func TestTerminate(t *testing.T) {
	base := t.TempDir()
	holder := startHolder(t, base, "shop", "sleep 1000")
	found, err := Terminate(t.Context(), base, "shop")
	if !found || err != nil {
		t.Errorf("found %t, error %v", found, err)
	}
	if err := holder.Wait(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("the holder ended with %v, want a SIGTERM", err)
	}
}

// TestTerminateGivesUp waits for one that does not end, until the context is over.
func TestTerminateGivesUp(t *testing.T) {
	base := t.TempDir()
	holder := startHolder(t, base, "shop", `trap "echo told >&3" TERM; echo ready >&3; while :; do cat <&5 & wait; done`)
	path := filepath.Join(base, "told")
	testenv.Eventually(t, 10*time.Second, func() error { return hasLine(path, "ready\n") })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1) // the one result of Terminate
	go func() {
		_, err := Terminate(ctx, base, "shop")
		done <- err
	}()
	testenv.Eventually(t, 10*time.Second, func() error { return hasLine(path, "ready\ntold\n") })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Error(err)
	}
}

func hasLine(path, want string) error {
	got, err := os.ReadFile(path)
	if err == nil && string(got) != want {
		err = fmt.Errorf("%s has %q, want %q", path, got, want)
	}
	return err
}

// startHolder starts a shell that has the file "told" as descriptor 3, the
// project's lock file, and as descriptor 5 a pipe that ends with the test.
func startHolder(t *testing.T, base, project, script string) *exec.Cmd {
	t.Helper()
	lock, err := os.Create(filepath.Join(base, project+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	told, err := os.Create(filepath.Join(base, "told"))
	if err != nil {
		t.Fatal(err)
	}
	never, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.CommandContext(t.Context(), "sh", "-c", script)
	holder.ExtraFiles = []*os.File{told, lock, never}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = holder.Wait() // a test may have done so
		if err := errors.Join(lock.Close(), told.Close(), never.Close(), end.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := fmt.Fprintf(lock, "%d\n", holder.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return holder
}
