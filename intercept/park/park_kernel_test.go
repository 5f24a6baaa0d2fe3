package park

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var kinds = map[string]kind{
	"IPv4 blocking":     {family: unix.AF_INET},
	"IPv4 non-blocking": {family: unix.AF_INET, nonBlocking: true},
	"IPv6 blocking":     {family: unix.AF_INET6},
	"IPv6 non-blocking": {family: unix.AF_INET6, nonBlocking: true},
	"v4-mapped":         {family: unix.AF_INET6, mapped: true},
	"MPTCP":             {family: unix.AF_INET, protocol: unix.IPPROTO_MPTCP},
	"MPTCP over IPv6":   {family: unix.AF_INET6, protocol: unix.IPPROTO_MPTCP, nonBlocking: true},
	"fast open":         {family: unix.AF_INET, fastOpen: true},
}

func (k kind) address() string {
	if k.family == unix.AF_INET || k.mapped {
		return "127.0.0.1:0"
	}
	return "[::1]:0"
}

// TestKernelPark parks each kind of client and ends it in each way.
func TestKernelPark(t *testing.T) {
	for name, options := range map[string]Options{
		"defaults":          {},
		"no native queue":   {DisableNativeQueue: true},
		"no owner":          {DisableOwner: true},
		"marks of the user": {MarkHold: 0x10, MarkMask: 0x30},
	} {
		t.Run(name, func(t *testing.T) {
			lab := newLab(t, options)
			for name, kind := range kinds {
				t.Run(name, func(t *testing.T) { parkEachWay(t, lab, kind) })
			}
		})
	}
}

func parkEachWay(t *testing.T, lab *lab, k kind) {
	tests := map[string]struct {
		verdict  func(...uint32) error
		listens  bool
		want     error
		accepted bool
	}{
		"accepted":                 {lab.parker.Accept, true, nil, true},
		"accepted, nobody listens": {lab.parker.Accept, false, unix.ECONNREFUSED, false},
		"refused":                  {lab.parker.Refuse, true, unix.ECONNREFUSED, false},
		"refused, nobody listens":  {lab.parker.Refuse, false, unix.ECONNREFUSED, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			listener := lab.listen(t, k.address())
			to := addrOf(listener)
			if !test.listens {
				_ = listener.Close()
			}
			client := lab.dial(t, k, to, lab.parker.MarkFor(0x100))
			packet := lab.packet(t)
			if packet.Dst != to || packet.Mark != lab.parker.MarkFor(0x100) {
				t.Errorf("parked %+v, want to %v, mark %#x", packet, to, lab.parker.MarkFor(0x100))
			}
			if want := client.port(t); packet.Src.Port() != want {
				t.Errorf("parked from port %d, want %d", packet.Src.Port(), want)
			}
			select {
			case err := <-client.result:
				t.Fatalf("connect returned while it was parked: %v", err)
			default:
			}
			if err := test.verdict(packet.ID); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, client.result, "end of connect"); !errors.Is(err, test.want) {
				t.Errorf("connect = %v, want %v", err, test.want)
			}
			if test.accepted && acceptPort(t, listener) != packet.Src.Port() {
				t.Error("accepted another connection")
			}
		})
	}
}

// acceptPort accepts a connection and returns its client's port.
func acceptPort(t testing.TB, listener *net.TCPListener) uint16 {
	t.Helper()
	if err := listener.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	conn, err := listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return netip.MustParseAddrPort(conn.RemoteAddr().String()).Port()
}

// TestKernelDrop: a dropped SYN comes again, with a new ID.
func TestKernelDrop(t *testing.T) {
	lab := newLab(t, Options{})
	listener := lab.listen(t, "127.0.0.1:0")
	client := lab.dial(t, kind{family: unix.AF_INET}, addrOf(listener), MarkFor(0))
	first := lab.packet(t)
	if err := lab.parker.Drop(first.ID); err != nil {
		t.Fatal(err)
	}
	again := lab.packet(t) // after a second: the client's retransmission
	if again.Src != first.Src || again.ID == first.ID {
		t.Errorf("first %+v, then %+v", first, again)
	}
	// A verdict on the packet that is gone does no harm.
	if err := lab.parker.Accept(first.ID, again.ID); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, client.result, "end of connect"); err != nil {
		t.Errorf("connect = %v", err)
	}
}

// TestKernelUnmarkedPasses: what has no mark is not even seen.
func TestKernelUnmarkedPasses(t *testing.T) {
	lab := newLab(t, Options{})
	for name, mark := range map[string]uint32{"no mark": 0, "somebody's mark": 0x01ff4000} {
		listener := lab.listen(t, "127.0.0.1:0")
		client := lab.dial(t, kind{family: unix.AF_INET}, addrOf(listener), mark)
		if err := receive(t, client.result, "end of connect"); err != nil {
			t.Errorf("%s: connect = %v", name, err)
		}
	}
	if n := len(lab.packets); n != 0 {
		t.Errorf("%d packets were parked", n)
	}
}

// TestKernelClientGone: a client that closed while it was parked does not
// reach accept.
func TestKernelClientGone(t *testing.T) {
	lab := newLab(t, Options{})
	listener := lab.listen(t, "127.0.0.1:0")
	gone := kind{family: unix.AF_INET, nonBlocking: true}
	for range 20 {
		client := lab.dialOnly(t, gone, addrOf(listener))
		packet := lab.packet(t)
		if err := client.close(); err != nil {
			t.Fatal(err)
		}
		if err := lab.parker.Accept(packet.ID); err != nil {
			t.Fatal(err)
		}
	}
	// Loopback delivers in order, so this connection is the last.
	alive := lab.dial(t, kind{family: unix.AF_INET}, addrOf(listener), 0)
	if err := receive(t, alive.result, "end of connect"); err != nil {
		t.Fatal(err)
	}
	if got, want := acceptPort(t, listener), alive.port(t); got != want {
		t.Errorf("accepted port %d, want only %d", got, want)
	}
}

// dialOnly begins a non-blocking connect and leaves it alone.
func (l *lab) dialOnly(t testing.TB, k kind, to netip.AddrPort) *client {
	t.Helper()
	c := &client{}
	l.do(t, func() error {
		var err error
		c.fd, err = unix.Socket(k.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, k.protocol)
		return err
	})
	t.Cleanup(func() { _ = c.close() })
	if err := c.prepare(k, l.parker.MarkFor(0)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(c.fd, sockaddr(k, to)); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatalf("connect = %v, want EINPROGRESS", err)
	}
	return c
}

// TestKernelManyAtOnce releases 1,000 SYNs with one call.
func TestKernelManyAtOnce(t *testing.T) {
	lab := newLab(t, Options{})
	listener := lab.listen(t, "127.0.0.1:0")
	const count = 1000
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	clients := make([]*client, count)
	for i := range clients {
		clients[i] = lab.dial(t, kind{family: unix.AF_INET, nonBlocking: true}, addrOf(listener), lab.parker.MarkFor(0))
	}
	ids := make([]uint32, count)
	for i := range ids {
		ids[i] = lab.packet(t).ID
	}
	begin := time.Now()
	if err := lab.parker.Accept(ids...); err != nil {
		t.Fatal(err)
	}
	for _, client := range clients {
		if err := receive(t, client.result, "end of connect"); err != nil {
			t.Errorf("connect = %v", err)
		}
	}
	t.Logf("%d connects were released in %v", count, time.Since(begin))
}
