package linux_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
	"upall/internal/testenv"
)

// TestDialIn: a connect is made from within the namespace, and nothing of the
// caller's moves there.
func TestDialIn(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(loopback, func(t *testing.T) {
			n := testenv.NewNetNS(t)
			var listener net.Listener
			n.Do(t, func() (err error) {
				listener, err = net.Listen("tcp", loopback)
				return err
			})
			defer func() { _ = listener.Close() }()
			at := netip.MustParseAddrPort(listener.Addr().String())
			there := handle(t, n)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			before := homes(t)
			conn, err := linux.DialIn(ctx, there, at)
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if accepted.RemoteAddr().String() != conn.LocalAddr().String() {
				t.Errorf("accepted from %v, dialed from %v", accepted.RemoteAddr(), conn.LocalAddr())
			}
			_ = accepted.Close()
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("the other end is closed, but a read gives something")
			}
			_ = conn.Close()
			_ = listener.Close()
			if _, err := linux.DialIn(ctx, there, at); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("nobody listens: %v", err)
			}
			if after := homes(t); after != before {
				t.Errorf("a thread is in %v, was in %v", after, before)
			}
		})
	}
}

// TestDialInEnds: it ends with its context.
func TestDialInEnds(t *testing.T) {
	n, silent := testenv.NewNetNS(t), testenv.NewNetNS(t)
	testenv.Join(t, n, netip.MustParsePrefix("10.99.0.1/24"), silent, netip.MustParsePrefix("10.99.0.2/24"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := linux.DialIn(ctx, handle(t, n), netip.MustParseAddrPort("10.99.0.3:80"))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("error %v, want a timeout", err)
	}
}

func handle(t *testing.T, n *testenv.NetNS) *linux.NetNS {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(n.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := &linux.NetNS{FD: linux.NewFD(fd)}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// homes returns the network namespace of this thread.
func homes(t *testing.T) string {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	link, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func TestOpenNetNS(t *testing.T) {
	own, err := linux.OpenNetNS(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	same, err := linux.OpenNetNS(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = same.Close() }()
	other := handle(t, testenv.NewNetNS(t))
	again, err := other.Dup()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	id := func(n *linux.NetNS) linux.NetNSID {
		t.Helper()
		id, err := n.ID()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if id(own) != id(same) || id(other) != id(again) || id(own) == id(other) {
		t.Errorf("own %v and %v, another %v and %v", id(own), id(same), id(other), id(again))
	}
	if _, err := linux.OpenNetNS(1 << 30); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such process: %v", err)
	}
}
