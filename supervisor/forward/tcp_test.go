package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/testenv"
)

// countThenEcho reads to the end of the client's stream and only then answers:
// it works through a forwarder that keeps half-closed connections.
func countThenEcho(c *net.TCPConn) {
	b, err := io.ReadAll(c)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(c, "%d bytes: ", len(b))
	_, _ = c.Write(b)
}

func TestHoldUntilReady(t *testing.T) {
	g := newGate()
	f := publish(t, "tcp", g)
	c := dial(t, f) // accepted although nothing serves
	payload := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(payload)
		sent <- errors.Join(err, c.CloseWrite())
	}()
	_ = c.SetReadDeadline(time.Now().Add(3 * watchAfter / 2)) // past the begin of the watch
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, errTimeout) {
		t.Fatalf("read before the service is up: %v, want to wait", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	g.serve(service(t, countThenEcho))
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d bytes: %s", len(payload), payload); string(got) != want {
		t.Errorf("answer of %d bytes, want %d", len(got), len(want))
	}
}

// TestReaderOnly: a client that ends its stream at once and reads.
func TestReaderOnly(t *testing.T) {
	g := newGate()
	g.serve(service(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, "hello") }))
	c := dial(t, publish(t, "tcp", g))
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestServerEndsFirst: the other half may close first, too.
func TestServerEndsFirst(t *testing.T) {
	g := newGate()
	got := make(chan string, 1)
	g.serve(service(t, func(c *net.TCPConn) {
		_ = c.CloseWrite()
		b, _ := io.ReadAll(c)
		got <- string(b)
	}))
	c := dial(t, publish(t, "tcp", g))
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "late")
	_ = c.CloseWrite()
	if s := <-got; s != "late" {
		t.Errorf("service read %q, want late", s)
	}
}

func TestHundredClients(t *testing.T) {
	g := newGate()
	f := publish(t, "tcp", g)
	var wg sync.WaitGroup
	var failed atomic.Int32
	for i := range 100 {
		wg.Go(func() {
			c, err := net.Dial("tcp", f.Ports()[0].String())
			if err != nil {
				failed.Add(1)
				return
			}
			defer func() { _ = c.Close() }()
			text := fmt.Sprintf("client %d", i)
			_, _ = io.WriteString(c, text)
			_ = c.(*net.TCPConn).CloseWrite()
			got, err := io.ReadAll(c)
			if err != nil || string(got) != fmt.Sprintf("%d bytes: %s", len(text), text) {
				failed.Add(1)
			}
		})
	}
	g.serve(service(t, countThenEcho))
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of 100 clients failed", n)
	}
}

func TestReset(t *testing.T) {
	t.Run("service does not come", func(t *testing.T) {
		g := newGate()
		c := dial(t, publish(t, "tcp", g)) // before the reset, or connect(2) itself may see it
		g.fail(errors.New("exited with code 1"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want a reset", err)
		}
	})
	t.Run("service resets", func(t *testing.T) {
		g := newGate()
		g.serve(service(t, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1))
			_ = c.SetLinger(0)
		}))
		c := dial(t, publish(t, "tcp", g))
		_, _ = io.WriteString(c, "x")
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want a reset", err)
		}
	})
	t.Run("client resets", func(t *testing.T) {
		g := newGate()
		got := make(chan error, 1)
		begun := make(chan struct{})
		g.serve(service(t, func(c *net.TCPConn) {
			_, _ = c.Write([]byte("x"))
			close(begun)
			_, err := c.Read(make([]byte, 1))
			got <- err
		}))
		c := dial(t, publish(t, "tcp", g))
		<-begun
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		abort(c)
		if err := <-got; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("service read: %v, want a reset", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		g := newGate()
		f := publish(t, "tcp", g)
		c := dial(t, f)
		testenv.Eventually(t, 5*time.Second, func() error { // it is accepted
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, errTimeout) {
				return fmt.Errorf("read: %w", err)
			}
			return nil
		})
		_ = c.SetReadDeadline(time.Time{})
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the connection outlived Close")
		}
	})
}

// TestClientGone: a client that leaves while it waits ends its wait.
func TestClientGone(t *testing.T) {
	for _, how := range []string{"close", "reset", "reset after data"} {
		t.Run(how, func(t *testing.T) {
			left := make(chan struct{})
			f, err := Open(t.Context(), Config{
				Service: "web",
				Publish: compose.Publish{HostIP: "127.0.0.1", Target: 80, Protocol: "tcp"},
				Target: func(ctx context.Context) (netip.AddrPort, error) {
					defer close(left)
					<-ctx.Done()
					return netip.AddrPort{}, ctx.Err()
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			c := dial(t, f)
			if how == "reset after data" {
				_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
			}
			if how != "close" {
				_ = c.SetLinger(0)
			}
			_ = c.Close()
			select {
			case <-left:
			case <-time.After(10 * time.Second):
				t.Error("the forwarder still waits for a client that is gone")
			}
		})
	}
}

// TestRestart: a service that refuses is asked for again.
func TestRestart(t *testing.T) {
	old, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = old.Close()
	addr := service(t, countThenEcho)
	asked := 0
	f, err := Open(t.Context(), Config{
		Service: "web",
		Publish: compose.Publish{HostIP: "127.0.0.1", Target: 80},
		Target: func(context.Context) (netip.AddrPort, error) {
			if asked++; asked < 3 {
				return addrPort(old.Addr()), nil
			}
			return addrPort(addr), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := dial(t, f)
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "0 bytes: " {
		t.Errorf("read %q, %v", got, err)
	}
}

// BenchmarkThroughput compares a connection through a forwarder with a direct
// one.
func BenchmarkThroughput(b *testing.B) {
	sink := func(c *net.TCPConn) {
		n, _ := io.Copy(io.Discard, c)
		_, _ = fmt.Fprint(c, n)
	}
	addr := service(b, sink)
	g := newGate()
	g.serve(addr)
	targets := map[string]string{"direct": addr.String(), "forwarded": publish(b, "tcp", g).Ports()[0].String()}
	for _, name := range []string{"direct", "forwarded"} {
		b.Run(name, func(b *testing.B) {
			c, err := net.Dial("tcp", targets[name])
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			chunk := make([]byte, 256<<10)
			b.SetBytes(int64(len(chunk)))
			for b.Loop() {
				if _, err := c.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			_ = c.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(c); err != nil || string(got) != fmt.Sprint(b.N*len(chunk)) {
				b.Errorf("the service counted %s bytes of %d, %v", got, b.N*len(chunk), err)
			}
		})
	}
}
