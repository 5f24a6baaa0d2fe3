package sockdiag

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

// pair is a connection within this process.
type pair struct{ client, server *net.TCPConn }

func newPair(t testing.TB, l *net.TCPListener) pair {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	return pair{conn.(*net.TCPConn), server}
}

func listenTCP(t testing.TB) *net.TCPListener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener)
}

// exchange sends so many bytes from the client and back.
func (p pair) exchange(t testing.TB, up, down int) {
	t.Helper()
	for _, way := range []struct {
		from, to *net.TCPConn
		count    int
	}{{p.client, p.server, up}, {p.server, p.client, down}} {
		sent := make(chan error, 1)
		go func() {
			_, err := way.from.Write(make([]byte, way.count))
			sent <- err
		}()
		_, err := io.CopyN(io.Discard, way.to, int64(way.count))
		if err := errors.Join(err, <-sent); err != nil {
			t.Fatal(err)
		}
	}
}

// close ends the connection in order: the client first.
func (p pair) close(t testing.TB) {
	t.Helper()
	err := p.client.CloseWrite()
	_, readErr := io.Copy(io.Discard, p.server)
	if err := errors.Join(err, readErr, p.server.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, p.client)
	if err := errors.Join(err, p.client.Close()); err != nil {
		t.Fatal(err)
	}
}

func addrOf(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// ends are the two ends of a connection among sockets.
func (p pair) ends(all []Traffic) (client, server Traffic) {
	local, remote := addrOf(p.client.LocalAddr()), addrOf(p.client.RemoteAddr())
	for _, s := range all {
		switch {
		case s.Local == local && s.Remote == remote:
			client = s
		case s.Local == remote && s.Remote == local:
			server = s
		}
	}
	return client, server
}

func TestTrafficOfOpenSockets(t *testing.T) {
	c, p := dial(t), newPair(t, listenTCP(t))
	const up, down = 3_000_000, 70_001
	p.exchange(t, up, down)
	all, err := c.Traffic(nil)
	if err != nil {
		t.Fatal(err)
	}
	client, server := p.ends(all)
	if client.Sent != up || client.Received != down || server.Sent != down || server.Received != up {
		t.Errorf("client %+v\nserver %+v\nwant %d up and %d down", client, server, up, down)
	}
	if client.Cookie == 0 || client.RTT <= 0 || client.RTT > time.Minute {
		t.Errorf("client = %+v", client)
	}
	p.close(t)
	if all, err = c.Traffic(all[:0]); err != nil || slices.ContainsFunc(all, func(s Traffic) bool { return s.Cookie == client.Cookie }) {
		t.Errorf("a socket that was closed is listed: %v", err)
	}
}

// watch collects sockets that end until there are those of a connection.
func (p pair) watch(t *testing.T, w *Watcher) (client, server Traffic) {
	t.Helper()
	local, remote := addrOf(p.client.LocalAddr()), addrOf(p.client.RemoteAddr())
	isClient := func(s Traffic) bool { return s.Local.Port() == local.Port() }
	testenv.Eventually(t, time.Minute, func() error {
		err := w.Drain(func(s Traffic) {
			switch {
			case isClient(s):
				client = s
			case s.Local == remote && s.Remote == local:
				server = s
			}
		})
		if err == nil && (client.Cookie == 0 || server.Cookie == 0) {
			err = errors.New("an end is not told of")
		}
		return err
	})
	return client, server
}

func watchHere(t testing.TB) *Watcher {
	t.Helper()
	w, err := Watch(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func TestWatch(t *testing.T) {
	w, p := watchHere(t), newPair(t, listenTCP(t))
	const up, down = 5_000, 1_234_567
	p.exchange(t, up, down)
	p.close(t)
	client, server := p.watch(t, w)
	// Each end's stream has an end too.
	if client.Sent != up || client.Received != down+1 || server.Sent != down || server.Received != up+1 {
		t.Errorf("client %+v\nserver %+v\nwant %d up and %d down", client, server, up, down)
	}
}

// The kernel forgets what went over a socket that is closed with a reset.
func TestWatchReset(t *testing.T) {
	w, p := watchHere(t), newPair(t, listenTCP(t))
	const up, down = 5_000, 600
	p.exchange(t, up, down)
	if err := errors.Join(p.client.SetLinger(0), p.client.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.server.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("read = %v, want ECONNRESET", err)
	}
	if err := p.server.Close(); err != nil {
		t.Fatal(err)
	}
	client, server := p.watch(t, w)
	if client.Sent != 0 || client.Received != 0 || client.Remote.Port() != 0 {
		t.Errorf("client %+v, want nothing but the local port", client)
	}
	if server.Sent != down || server.Received != up {
		t.Errorf("server %+v, want %d up and %d down", server, up, down)
	}
}

func TestWatchClosed(t *testing.T) {
	w := watchHere(t)
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Error(err)
	}
	if err := w.Drain(func(Traffic) {}); err == nil {
		t.Error("Drain works after Close")
	}
	if _, err := Watch(1 << 20); err == nil {
		t.Error("Watch works in a namespace that is none")
	}
}

// A queue that is too short is told, and what comes then is given.
func TestWatchMissed(t *testing.T) {
	w, l := watchHere(t), listenTCP(t)
	if err := unix.SetsockoptInt(w.fd.Int(), unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		newPair(t, l).close(t)
	}
	testenv.Eventually(t, time.Minute, func() error { // the kernel may tell a moment later
		if err := w.Drain(func(Traffic) {}); !errors.Is(err, ErrMissed) {
			return fmt.Errorf("Drain = %w, want ErrMissed", err)
		}
		return nil
	})
	const mark = 4711
	testenv.Eventually(t, time.Minute, func() error { // there is room for one, which may be another's
		p := newPair(t, l)
		p.exchange(t, mark, 0)
		p.close(t)
		isFound := false
		err := w.Drain(func(s Traffic) { isFound = isFound || s.Sent == mark })
		if !isFound {
			return fmt.Errorf("what comes after is not told: %w", err)
		}
		return nil
	})
}

// BenchmarkTraffic lists 1,000 connections, which are 2,000 sockets, and reports
// which share of a core that takes once a second.
func BenchmarkTraffic(b *testing.B) {
	c, l := dial(b), listenTCP(b)
	for range 1_000 {
		p := newPair(b, l)
		b.Cleanup(func() { _ = errors.Join(p.client.Close(), p.server.Close()) })
	}
	var all []Traffic
	before := cpu(b)
	for b.Loop() {
		var err error
		if all, err = c.Traffic(all[:0]); err != nil || len(all) < 2_000 {
			b.Fatal(len(all), err)
		}
	}
	used := cpu(b) - before
	b.ReportMetric(used.Seconds()/float64(b.N)*100, "%-of-a-core-at-1-Hz")
	b.ReportMetric(used.Seconds()/float64(b.N)*100*1000/float64(len(all)), "%-of-a-core-for-1000-sockets")
}

// cpu is what this process has used, in the kernel too.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
