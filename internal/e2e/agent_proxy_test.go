package e2e

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"upall/internal/testenv"
)

// proxy is the engine as it is seen from far: connections to a port of loopback are
// passed on to its socket, and may be cut.
type proxy struct {
	listener net.Listener
	socket   string
	done     sync.WaitGroup

	mu    sync.Mutex // guards what follows
	conns map[net.Conn]bool
}

// farEngine is the engine at tcp://127.0.0.1:PORT until the test ends.
func farEngine(t *testing.T, e testenv.Engine) (testenv.Engine, *proxy) {
	t.Helper()
	socket, isUnix := strings.CutPrefix(e.Host, "unix://")
	testenv.Need(t, isUnix, "an engine with a socket")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, socket: socket, conns: map[net.Conn]bool{}}
	p.done.Go(p.serve)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		p.cut()
		p.done.Wait()
	})
	e.Host = "tcp://" + l.Addr().String()
	return e, p
}

func (p *proxy) serve() {
	for {
		here, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		there, err := net.Dial("unix", p.socket)
		if err != nil {
			_ = here.Close() // the client says what it misses
			continue
		}
		p.done.Go(func() { p.pass(here.(*net.TCPConn), there.(*net.UnixConn)) })
	}
}

// halfCloser is a connection whose directions end one by one.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// pass passes bytes on in both directions until both have ended.
func (p *proxy) pass(here, there halfCloser) {
	p.add(here, there)
	defer p.remove(here, there)
	var both sync.WaitGroup
	for from, to := range map[halfCloser]halfCloser{here: there, there: here} {
		both.Go(func() {
			_, _ = io.Copy(to, from) // whichever has failed, its ends see it
			_ = to.CloseWrite()
		})
	}
	both.Wait()
}

func (p *proxy) add(conns ...halfCloser) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
}

func (p *proxy) remove(conns ...halfCloser) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // it may be cut
		delete(p.conns, c)
	}
}

// cut closes all connections that there are, and says how many. Those on the way of
// Accept come later.
func (p *proxy) cut() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close() // it may have ended just now
	}
	return len(p.conns) / 2
}
