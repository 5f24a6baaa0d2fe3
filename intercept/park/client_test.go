package park

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

const patience = 10 * time.Second

// lab is a network namespace with a Parker.
type lab struct {
	*netNS
	parker  *Parker
	packets chan Packet // capacity for every test here; a full one would block the reader
}

func newLab(t testing.TB, options Options) *lab {
	t.Helper()
	l := &lab{netNS: newNetNS(t), packets: make(chan Packet, 4096)}
	l.parker = l.open(t, options, l.packets)
	return l
}

// open opens one more Parker in the namespace.
func (l *lab) open(t testing.TB, options Options, packets chan<- Packet) *Parker {
	t.Helper()
	options.NetNS = l.fd()
	options.Handle = func(p Packet) { packets <- p }
	parker, err := Open(options)
	unsupported, ok := errors.AsType[*NotSupportedError](err)
	testenv.Need(t, !ok, fmt.Sprint(unsupported))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := parker.Close(); err != nil {
			t.Error(err)
		}
	})
	return parker
}

// listen listens on an address with port 0, or on one of an IPv6 socket.
func (l *lab) listen(t testing.TB, address string) *net.TCPListener {
	t.Helper()
	var listener net.Listener
	l.do(t, func() error {
		var err error
		listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", address)
		return err
	})
	t.Cleanup(func() { _ = listener.Close() })
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		t.Fatalf("%T is no TCP listener", listener)
	}
	return tcp
}

func addrOf(l *net.TCPListener) netip.AddrPort {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	a := addr.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// packet waits for the next SYN.
func (l *lab) packet(t testing.TB) Packet {
	t.Helper()
	return receive(t, l.packets, "a parked SYN")
}

func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
	}
	var none T
	return none
}

// kind is a kind of client socket.
type kind struct {
	family, protocol int
	mapped           bool // IPv4 over an IPv6 socket
	fastOpen         bool // TCP_FASTOPEN_CONNECT
	nonBlocking      bool
}

// client is a socket that connects.
type client struct {
	fd     int
	result chan error // capacity 1, one result; the sender never waits
}

// dial begins to connect. A mark of 0 sets none.
func (l *lab) dial(t testing.TB, k kind, to netip.AddrPort, mark uint32) *client {
	t.Helper()
	c := &client{result: make(chan error, 1)}
	l.do(t, func() error {
		var err error
		c.fd, err = unix.Socket(k.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, k.protocol)
		return err
	})
	t.Cleanup(func() { _ = c.close() })
	if err := c.prepare(k, mark); err != nil {
		t.Fatal(err)
	}
	go func() { c.result <- c.connect(k, to) }()
	return c
}

func (c *client) prepare(k kind, mark uint32) error {
	var err error
	if mark != 0 {
		err = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark))
	}
	if k.fastOpen {
		err = errors.Join(err, unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1))
	}
	if k.nonBlocking {
		err = errors.Join(err, unix.SetNonblock(c.fd, true))
	}
	return err
}

func (c *client) connect(k kind, to netip.AddrPort) error {
	err := unix.Connect(c.fd, sockaddr(k, to))
	if !k.nonBlocking || !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	return c.await()
}

// await waits for the end of a connect that is in progress.
func (c *client) await() error {
	poll := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}
	for {
		_, err := unix.Poll(poll, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || errno == 0 {
		return err
	}
	return unix.Errno(errno)
}

func sockaddr(k kind, to netip.AddrPort) unix.Sockaddr {
	if k.family == unix.AF_INET {
		return &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	}
	return &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}
}

func (c *client) close() error {
	if c.fd < 0 {
		return nil
	}
	fd := c.fd
	c.fd = -1
	return unix.Close(fd)
}

// port returns the client's local port.
func (c *client) port(t testing.TB) uint16 {
	t.Helper()
	addr, err := unix.Getsockname(c.fd)
	if err != nil {
		t.Fatal(err)
	}
	switch a := addr.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port)
	case *unix.SockaddrInet6:
		return uint16(a.Port)
	}
	return 0
}
