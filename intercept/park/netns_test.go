package park

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

// netNS is a network namespace of its own, with lo up. Sockets that are made
// in do belong to it for good, whichever thread uses them later.
type netNS struct{ file *os.File }

func newNetNS(t testing.TB) *netNS {
	t.Helper()
	var file *os.File
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		var err error
		if file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return loopbackUp()
	})
	testenv.Need(t, !errors.Is(err, unix.EPERM), fmt.Sprintf("a network namespace of its own (%v)", err))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return &netNS{file}
}

func (n *netNS) fd() int { return int(n.file.Fd()) }

// do runs fn on a thread in the namespace.
func (n *netNS) do(t testing.TB, fn func() error) {
	t.Helper()
	err := onOwnThread(func() error {
		if err := unix.Setns(n.fd(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("setns: %w", err)
		}
		return fn()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// onOwnThread runs fn on a thread that ends with it.
func onOwnThread(fn func() error) error {
	result := make(chan error, 1) // one result; the sender never waits
	go func() {
		runtime.LockOSThread() // not unlocked: the thread dies with the goroutine
		result <- fn()
	}()
	return <-result
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
