package park

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkConnect compares a connect over loopback with one that is parked
// and accepted at once.
func BenchmarkConnect(b *testing.B) {
	var parker *Parker
	packets := func(p Packet) {
		if err := parker.Accept(p.ID); err != nil {
			b.Error(err)
		}
	}
	ns := newNetNS(b)
	var err error
	if parker, err = Open(Options{NetNS: ns.fd(), Handle: packets}); err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { _ = parker.Close() })
	l := &lab{netNS: ns, parker: parker}
	listener := l.listen(b, "127.0.0.1:0")
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	for name, mark := range map[string]uint32{"plain": 0, "marked elsewhere": 0x100, "parked": MarkFor(0)} {
		b.Run(name, func(b *testing.B) { benchmarkConnect(b, ns, addrOf(listener), mark) })
	}
}

func benchmarkConnect(b *testing.B, ns *netNS, to netip.AddrPort, mark uint32) {
	ns.do(b, func() error {
		for b.Loop() {
			if err := connectOnce(to, mark); err != nil {
				return err
			}
		}
		return nil
	})
}

func connectOnce(to netip.AddrPort, mark uint32) error {
	c := &client{}
	var err error
	if c.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	defer func() { _ = c.close() }()
	if err := c.prepare(kind{}, mark); err != nil {
		return err
	}
	// Leave no TIME_WAIT behind: tens of thousands use up the ports.
	if err := unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	return unix.Connect(c.fd, sockaddr(kind{family: unix.AF_INET}, to))
}
