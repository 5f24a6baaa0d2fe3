package forward

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"upall/compose"
	"upall/internal/linux"
)

// Who connects while there is no forwarder waits for the next one, where an
// earlier one has kept its sockets.
func TestKeep(t *testing.T) {
	for _, protocol := range []string{"tcp", "udp"} {
		t.Run(protocol, func(t *testing.T) {
			first, err := Open(t.Context(), Config{
				Service: "web", Publish: compose.Publish{HostIP: "127.0.0.1", Target: 80, Protocol: protocol}, Target: newGate().wait,
			})
			if err != nil {
				t.Fatal(err)
			}
			at := first.Ports()
			var kept []*linux.FD
			err = first.Keep(func(fds ...int) error {
				for _, fd := range fds {
					dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
					if err != nil {
						return err
					}
					kept = append(kept, linux.NewFD(dup))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			early, err := net.Dial(protocol, at[0].String())
			if err != nil {
				t.Fatalf("connect while there is none: %v", err)
			}
			defer func() { _ = early.Close() }()
			second, err := Open(t.Context(), Config{
				Service: "web", Publish: compose.Publish{HostIP: "127.0.0.1", Target: 80, Protocol: protocol}, Sockets: kept, Target: served(t, protocol),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = second.Close() }()
			if got := second.Ports(); len(got) != 1 || got[0] != at[0] {
				t.Fatalf("listens on %v, want %v", got, at)
			}
			if _, err := early.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 5)
			if _, err := io.ReadFull(early, buf); err != nil || string(buf) != "hello" {
				t.Errorf("read %q, %v", buf, err)
			}
		})
	}
}

// served is the Target of a service that echoes.
func served(t *testing.T, protocol string) func(context.Context) (netip.AddrPort, error) {
	t.Helper()
	g := newGate()
	if protocol == "udp" {
		g.serve(udpEcho(t))
	} else {
		g.serve(service(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) }))
	}
	return g.wait
}
