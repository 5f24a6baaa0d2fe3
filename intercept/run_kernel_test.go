package intercept

import (
	"errors"
	"net/netip"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// TestKernelUnseenRestart: a container ends and starts again, and nobody tells
// but the kernel. Whoever connects meanwhile waits.
func TestKernelUnseenRestart(t *testing.T) {
	l := newLab(t, parked())
	client, server := l.containers()
	client.must("connect %d %s", client.tcp(), serverUp(server))
	server.kill()
	called := client.begin("-", "connect %d %s", client.tcp(), server.at(port))
	next := server.session()
	next.listener("0.0.0.0", port)
	client.want(called, "ok")
	l.Ended("server", 137, false) // the engine's word, late
	client.must("connect %d %s", client.tcp(), server.at(port))
}

// TestKernelClosedListener: a program closes its listener without a word. A SYN
// that finds nobody is sent again, and the next connect is held.
func TestKernelClosedListener(t *testing.T) {
	l := newLab(t, parked())
	client, server := l.containers()
	listener := server.start().listener("0.0.0.0", port)
	client.must("connect %d %s", client.tcp(), server.at(port))
	first, second := client.tcp(), client.tcp()
	testenv.Eventually(t, patience, func() (err error) {
		l.do(func() {
			for _, s := range l.spaces {
				if s.ns != nil && !s.isOpen() {
					err = errors.New("a queue is not there yet")
				}
			}
		})
		return err
	})
	server.must("close %d", listener)
	late := client.begin("t", "connect %d %s", first, server.at(port))
	testenv.Eventually(t, patience, func() error {
		if _, open := l.routes.Load().open[netip.AddrPortFrom(server.addr, port)]; open {
			return errors.New("connects still pass")
		}
		return nil
	})
	called := client.begin("t", "connect %d %s", second, server.at(port))
	l.waitHolds(1)
	l.waitParked(1)
	server.listener("0.0.0.0", port)
	client.want(called, "ok")
	client.want(late, "ok")
	l.waitEnds(1, event.Released)
}

// TestKernelClaims: who hands over by itself has the network namespace that it is in,
// whatever process it claims to be. One that nobody knows has none.
func TestKernelClaims(t *testing.T) {
	l := newLab(t, parked())
	l.mayComplain = true
	forClient, forServer := joined(t)
	other := l.container("other", testenv.NewNetNS(t), netip.MustParsePrefix("10.98.0.1/24")).start()
	server := l.container("server", forServer, serverAt, l.serves)
	client := l.container("client", forClient, clientAt)
	client.claims = other.cmd.Process.Pid
	client.start()
	called := client.begin("t", "connect %d %s", client.tcp(), server.at(port))
	l.waitHolds(1)
	l.waitParked(1) // in the queue of the client's own namespace
	server.start().listener("0.0.0.0", port)
	client.want(called, "ok")
	l.waitEnds(1, event.Released)

	spaces := func() (n int) {
		l.do(func() { n = len(l.spaces) })
		return n
	}
	before, stranger := spaces(), *client
	stranger.ns, stranger.metadata = testenv.NewNetNS(t), "upall:nobody"
	stranger.launch()
	if after := spaces(); after != before {
		t.Errorf("with a stranger there are %d network namespaces, not %d", after, before)
	}
}

// TestKernelStranger: what hands over and is not known goes on as without upall.
func TestKernelStranger(t *testing.T) {
	l := newLab(t, parked())
	l.mayComplain = true
	client, server := l.containers()
	client.must("connect %d %s", client.tcp(), serverUp(server))
	other := *client
	other.metadata = "upall:nobody"
	stranger := other.launch()
	stranger.must("connect %d %s", stranger.tcp(), server.at(port))
	stranger.listener("0.0.0.0", port+7)
	if got := stranger.do("connect %d %s", stranger.tcp(), server.at(port+1)); got != "ECONNREFUSED" {
		t.Errorf("a connect to where nobody listens: %s", got)
	}
}
