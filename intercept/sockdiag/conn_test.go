package sockdiag

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

func dial(t testing.TB) *Conn {
	t.Helper()
	c, err := Dial(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// bind is how a listener is bound.
type bind struct {
	family  int
	address string
	v6Only  bool
}

// listen makes a listener with an exact backlog, which package net does not do.
func listen(t testing.TB, b bind, backlog int) (fd int, port uint16) {
	t.Helper()
	fd, err := unix.Socket(b.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip("this kernel has no IPv6")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	addr := netip.MustParseAddr(b.address)
	var sa unix.Sockaddr
	if b.family == unix.AF_INET {
		sa = &unix.SockaddrInet4{Addr: addr.As4()}
	} else {
		sa = &unix.SockaddrInet6{Addr: addr.As16()}
		only := 0
		if b.v6Only {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(unix.Bind(fd, sa), unix.Listen(fd, backlog)); err != nil {
		t.Fatal(err)
	}
	return fd, portOf(t, fd)
}

func portOf(t testing.TB, fd int) uint16 {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port)
	case *unix.SockaddrInet6:
		return uint16(a.Port)
	}
	return 0
}

func TestAcceptQueue(t *testing.T) {
	tests := map[string]struct {
		bind bind
		ask  string
		none bool
	}{
		"IPv4":                          {bind{unix.AF_INET, "127.0.0.1", false}, "127.0.0.1", false},
		"IPv4, asked as v4-mapped":      {bind{unix.AF_INET, "127.0.0.1", false}, "::ffff:127.0.0.1", false},
		"IPv4, another address":         {bind{unix.AF_INET, "127.0.0.1", false}, "127.0.0.2", true},
		"IPv6":                          {bind{unix.AF_INET6, "::1", false}, "::1", false},
		"v4-mapped":                     {bind{unix.AF_INET6, "::ffff:127.0.0.3", false}, "127.0.0.3", false},
		"v4-mapped, asked as such":      {bind{unix.AF_INET6, "::ffff:127.0.0.3", false}, "::ffff:127.0.0.3", false},
		"IPv4 wildcard":                 {bind{unix.AF_INET, "0.0.0.0", false}, "127.0.0.4", false},
		"IPv4 wildcard itself":          {bind{unix.AF_INET, "0.0.0.0", false}, "0.0.0.0", false},
		"dual-stack wildcard over IPv4": {bind{unix.AF_INET6, "::", false}, "127.0.0.5", false},
		"dual-stack wildcard over IPv6": {bind{unix.AF_INET6, "::", false}, "::1", false},
		"dual-stack wildcard itself":    {bind{unix.AF_INET6, "::", false}, "::", false},
		"IPv6 only wildcard over IPv4":  {bind{unix.AF_INET6, "::", true}, "127.0.0.1", true},
	}
	c := dial(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fd, port := listen(t, test.bind, 5)
			listener := netip.AddrPortFrom(netip.MustParseAddr(test.ask), port)
			if test.none {
				if length, limit, err := c.AcceptQueue(listener); !errors.Is(err, ErrNoListener) {
					t.Errorf("AcceptQueue = %d, %d, %v; want ErrNoListener", length, limit, err)
				}
				return
			}
			checkQueue(t, c, listener, 0, 5)
			for range 3 {
				connect(t, listener)
			}
			checkQueue(t, c, listener, 3, 5)
			accepted, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Close(accepted) })
			checkQueue(t, c, listener, 2, 5)
		})
	}
}

func connect(t testing.TB, to netip.AddrPort) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
}

func checkQueue(t testing.TB, c *Conn, listener netip.AddrPort, wantLength, wantLimit int) {
	t.Helper()
	length, limit, err := c.AcceptQueue(listener)
	if err != nil || length != wantLength || limit != wantLimit {
		t.Errorf("AcceptQueue(%v) = %d, %d, %v; want %d, %d", listener, length, limit, err, wantLength, wantLimit)
	}
}

func TestListeners(t *testing.T) {
	c := dial(t)
	fd, port := listen(t, bind{unix.AF_INET6, "::ffff:127.0.0.7", false}, 1)
	listeners, err := c.Listeners()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(listeners, func(s Socket) bool { return s.Local.Port() == port })
	if at < 0 {
		t.Fatalf("port %d is not among %v", port, listeners)
	}
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		t.Fatal(err)
	}
	want := Socket{
		Local: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.7"), port), Remote: listeners[at].Remote,
		State: StateListen, Inode: uint32(stat.Ino), UID: uint32(os.Geteuid()), Cookie: cookie,
	}
	if listeners[at] != want {
		t.Errorf("listener = %+v, want %+v", listeners[at], want)
	}
	pid, name, ok := Owner(want.Inode)
	if !ok || pid != os.Getpid() || name == "" {
		t.Errorf("Owner = %d, %q, %v; want %d", pid, name, ok, os.Getpid())
	}
}

// A UDP socket that is connected takes datagrams of one peer alone.
func TestReceiving(t *testing.T) {
	c := dial(t)
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 7)})
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), client.Close()); err != nil {
			t.Error(err)
		}
	})
	sockets, err := c.Receiving()
	if err != nil {
		t.Fatal(err)
	}
	has := func(conn *net.UDPConn) bool {
		at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		return slices.ContainsFunc(sockets, func(s Socket) bool { return s.Local == at })
	}
	if !has(server) || has(client) {
		t.Errorf("server %v, client %v: want the server alone among %+v", has(server), has(client), sockets)
	}
}

// TestConnecting keeps a connect waiting with a full accept queue, to which
// the kernel adds one more than the backlog.
func TestConnecting(t *testing.T) {
	c := dial(t)
	_, port := listen(t, bind{unix.AF_INET, "127.0.0.1", false}, 0)
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	connect(t, to)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(port)}); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatalf("connect = %v, want EINPROGRESS", err)
	}
	connecting, err := c.Connecting()
	if err != nil {
		t.Fatal(err)
	}
	local := portOf(t, fd)
	found := slices.ContainsFunc(connecting, func(s Socket) bool {
		return s.Remote == to && s.Local.Port() == local && s.State == StateSynSent
	})
	if !found {
		t.Errorf("port %d is not connecting: %+v", local, connecting)
	}
}

// TestNamespace asks in another network namespace, from a thread outside.
func TestNamespace(t *testing.T) {
	_, port := listen(t, bind{unix.AF_INET, "127.0.0.1", false}, 1)
	type result struct {
		netNS *os.File
		err   error
	}
	results := make(chan result, 1) // one result; the sender never waits
	go func() {
		runtime.LockOSThread() // not unlocked: the thread dies with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			results <- result{err: err}
			return
		}
		netNS, err := os.Open("/proc/thread-self/ns/net")
		results <- result{netNS, err}
	}()
	other := <-results
	testenv.Need(t, !errors.Is(other.err, unix.EPERM), "CAP_SYS_ADMIN for a network namespace")
	if other.err != nil {
		t.Fatal(other.err)
	}
	t.Cleanup(func() { _ = other.netNS.Close() })
	c, err := Dial(int(other.netNS.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if listeners, err := c.Listeners(); err != nil || len(listeners) != 0 {
		t.Errorf("listeners of a new namespace = %v, %v", listeners, err)
	}
	here := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	if _, _, err := c.AcceptQueue(here); !errors.Is(err, ErrNoListener) {
		t.Errorf("AcceptQueue = %v, want ErrNoListener", err)
	}
}

func TestClosed(t *testing.T) {
	c, err := Dial(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Listeners(); err == nil {
		t.Error("Listeners works after Close")
	}
	if _, err := Dial(1 << 20); err == nil {
		t.Error("Dial works in a namespace that is none")
	}
}

func BenchmarkAcceptQueue(b *testing.B) {
	c := dial(b)
	for name, bind := range map[string]bind{
		"IPv4":      {unix.AF_INET, "127.0.0.1", false},
		"v4-mapped": {unix.AF_INET6, "::ffff:127.0.0.1", false},
	} {
		_, port := listen(b, bind, 128)
		listener := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := c.AcceptQueue(listener); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
