package forward

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"upall/compose"
)

// errTimeout is what a read after its deadline gives.
var errTimeout = os.ErrDeadlineExceeded

// udpEcho answers each datagram with itself.
func udpEcho(t *testing.T) net.Addr {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		b := make([]byte, maxDatagram)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
	return c.LocalAddr()
}

func dialPublic(t *testing.T, f *Forwarder) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", f.Ports()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return c
}

func TestUDP(t *testing.T) {
	g := newGate()
	f := publish(t, "udp", g)
	a, b := dialPublic(t, f), dialPublic(t, f)
	for i := range 5 {
		_, _ = fmt.Fprintf(a, "a%d", i)
		_, _ = fmt.Fprintf(b, "b%d", i)
	}
	g.serve(udpEcho(t))
	buffer := make([]byte, 100)
	for i := range 5 {
		for name, c := range map[string]net.Conn{"a": a, "b": b} {
			n, err := c.Read(buffer)
			if want := fmt.Sprint(name, i); err != nil || string(buffer[:n]) != want {
				t.Errorf("read %q, %v, want %q", buffer[:n], err, want)
			}
		}
	}
}

func TestUDPQueueDropsOldest(t *testing.T) {
	a := association{queue: make(chan []byte, udpQueue)}
	for i := range udpQueue + 10 {
		a.put([]byte{byte(i)})
	}
	if n := len(a.queue); n != udpQueue {
		t.Errorf("%d datagrams kept, want %d", n, udpQueue)
	}
	if first := (<-a.queue)[0]; first != 10 {
		t.Errorf("the oldest kept is %d, want 10", first)
	}
}

// TestUDPIdle: an association goes away and the next datagram makes a new one.
func TestUDPIdle(t *testing.T) {
	g := newGate()
	asked := make(chan struct{}, 10)
	config := Config{Service: "dns", Publish: compose.Publish{HostIP: "127.0.0.1", Protocol: "udp"}, Target: g.wait}
	config.Logger = newSignalLogger("UDP client dropped", asked)
	f, err := open(t.Context(), config, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := dialPublic(t, f)
	_, _ = fmt.Fprint(c, "lost, the service is not there in time")
	<-asked
	g.serve(udpEcho(t))
	buffer := make([]byte, 100)
	_, _ = fmt.Fprint(c, "again")
	if n, err := c.Read(buffer); err != nil || string(buffer[:n]) != "again" {
		t.Errorf("read %q, %v", buffer[:n], err)
	}
	<-asked
}

// TestUDPServiceRefuses: the service's port is closed once, then open.
func TestUDPServiceRefuses(t *testing.T) {
	g := newGate()
	dropped := make(chan struct{}, 1)
	config := Config{Service: "dns", Publish: compose.Publish{HostIP: "127.0.0.1", Protocol: "udp"}, Target: g.wait}
	config.Logger = newSignalLogger("UDP client dropped", dropped)
	f, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.LocalAddr()
	_ = closed.Close()
	g.serve(addr)
	c := dialPublic(t, f)
	_, _ = fmt.Fprint(c, "refused")
	<-dropped
	reopened, err := net.ListenPacket("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reopened.Close() }()
	_, _ = fmt.Fprint(c, "again")
	_ = reopened.SetReadDeadline(time.Now().Add(10 * time.Second))
	buffer := make([]byte, 100)
	if n, _, err := reopened.ReadFrom(buffer); err != nil || string(buffer[:n]) != "again" {
		t.Errorf("service read %q, %v", buffer[:n], err)
	}
}
