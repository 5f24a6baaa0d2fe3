package testenv

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// NetNS is a network namespace that a test has made. It lives as long as it is
// not closed, or anything is in it.
type NetNS struct{ file *os.File }

// NewNetNS makes a network namespace whose loopback is up, and closes it with the
// test.
func NewNetNS(t testing.TB) *NetNS {
	t.Helper()
	n := &NetNS{}
	err := inNewNetNS(func() (err error) {
		if n.file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return upLoopback()
	})
	Need(t, !errors.Is(err, unix.EPERM), fmt.Sprintf("a network namespace of its own (%v)", err))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// FD returns the descriptor of the namespace.
func (n *NetNS) FD() int { return int(n.file.Fd()) }

// Close gives the namespace up; closing twice does nothing.
func (n *NetNS) Close() { _ = n.file.Close() } // ErrClosed the second time

// Do runs fn on a thread in the namespace. Sockets that it makes and processes
// that it starts stay there. A command that is to die with its parent
// (Pdeathsig) would die at once, with the thread.
func (n *NetNS) Do(t testing.TB, fn func() error) {
	t.Helper()
	result := make(chan error, 1) // one result; the sender never waits
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("setns: %w", err)
			return
		}
		result <- fn()
	}()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

// Join connects two namespaces by a pair of interfaces, named eth0 in each, that
// have these addresses.
func Join(t testing.TB, a *NetNS, atA netip.Prefix, b *NetNS, atB netip.Prefix) {
	t.Helper()
	ip := NeedProgram(t, "ip")
	run := func(n *NetNS, args ...string) {
		t.Helper()
		n.Do(t, func() error {
			if out, err := exec.Command(ip, args...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %v: %w: %s", args, err, out)
			}
			return nil
		})
	}
	run(a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), b.FD()))
	for _, end := range []struct {
		n  *NetNS
		at netip.Prefix
	}{{a, atA}, {b, atB}} {
		address := []string{"address", "add", end.at.String(), "dev", "eth0"}
		if end.at.Addr().Is6() {
			address = append(address, "nodad")
		}
		run(end.n, address...)
		run(end.n, "link", "set", "eth0", "up")
	}
}

func upLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing is lost with it
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
