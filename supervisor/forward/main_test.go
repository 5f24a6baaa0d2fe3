package forward

import (
	"context"
	"net"
	"net/netip"
	"os"
	"testing"

	"upall/compose"
	"upall/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

// gate is a Target that opens when the test says so.
type gate struct {
	open   chan struct{}
	target netip.AddrPort // valid once open is closed
	err    error          // as target
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) wait(ctx context.Context) (netip.AddrPort, error) {
	select {
	case <-g.open:
		return g.target, g.err
	case <-ctx.Done():
		return netip.AddrPort{}, ctx.Err()
	}
}

func (g *gate) serve(addr net.Addr) {
	g.target = addrPort(addr)
	close(g.open)
}

func (g *gate) fail(err error) {
	g.err = err
	close(g.open)
}

// publish opens a forwarder on a free port of 127.0.0.1.
func publish(t testing.TB, protocol string, g *gate) *Forwarder {
	t.Helper()
	f, err := Open(t.Context(), Config{
		Service: "web",
		Publish: compose.Publish{HostIP: "127.0.0.1", Target: 80, Protocol: protocol},
		Target:  g.wait,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// service listens on the loopback device and runs handle for each client.
func service(t testing.TB, handle func(*net.TCPConn)) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				handle(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr()
}

func dial(t testing.TB, f *Forwarder) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", f.Ports()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}
