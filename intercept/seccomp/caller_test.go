package seccomp

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upall/intercept/shim"
	"upall/internal/linux"
	"upall/internal/testenv"
)

// callsVariable says how many calls a caller makes at once; 0: one after the other
// until it is killed.
const callsVariable = "UPALL_SECCOMP_CALLS"

// call is a process whose calls are notified of: listens on no descriptor, so that
// they succeed only with a response that says so. It prints how many did.
func call() error {
	count, err := strconv.Atoi(os.Getenv(callsVariable))
	if err != nil {
		return err
	}
	for count == 0 {
		_ = unix.Listen(-1, 1)
	}
	var succeeded atomic.Int64
	var calls sync.WaitGroup
	for range count {
		calls.Go(func() {
			runtime.LockOSThread()
			if unix.Listen(-1, 1) == nil {
				succeeded.Add(1)
			}
		})
	}
	calls.Wait()
	fmt.Println(succeeded.Load())
	return nil
}

// caller returns a process that makes calls behind the shim, not started.
func caller(t testing.TB, socket string, count int) *exec.Cmd {
	t.Helper()
	testenv.Need(t, linux.HasUserNotification() == nil, "seccomp user notification")
	dir := t.TempDir()
	filter, err := Filter{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	state, err := MarshalState("caller")
	if err != nil {
		t.Fatal(err)
	}
	o := shim.Options{Socket: socket, Filter: filepath.Join(dir, "filter"), State: filepath.Join(dir, "state")}
	for path, content := range map[string][]byte{o.Filter: filter, o.State: state} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: o.Args([]string{"/proc/self/exe"}), Stderr: os.Stderr,
		// Go's preemption would interrupt the calls and make them anew.
		Env:         append(os.Environ(), roleVariable+"=caller", fmt.Sprintf("%s=%d", callsVariable, count), "GODEBUG=asyncpreemptoff=1"),
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	return cmd
}
