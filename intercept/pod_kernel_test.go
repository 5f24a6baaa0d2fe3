package intercept

import (
	"fmt"
	"net/netip"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// pod makes instances known that share a network namespace.
func (l *lab) pod(names ...string) (ps []*performer) {
	l.t.Helper()
	ns := testenv.NewNetNS(l.t)
	for _, name := range names {
		ps = append(ps, l.container(name, ns, clientAt, func(in *Instance) { in.Loopback = netip.MustParseAddr("::1%pod") }))
	}
	return ps
}

// TestKernelLoopback: who shares a network namespace is held on its loopback until
// the other listens there.
func TestKernelLoopback(t *testing.T) {
	for _, test := range []struct{ family, to, listens string }{
		{"4", "127.0.0.1", "127.0.0.1"},
		{"4", "127.0.0.1", "0.0.0.0"},
		{"4", "127.0.0.1", "::"},
		{"4", "0.0.0.0", "127.0.0.1"},
		{"6", "::1", "::1"},
		{"6", "::1", "::"},
	} {
		t.Run(test.to+" "+test.listens, func(t *testing.T) {
			forWays(t, []way{parked(), kept()}, func(t *testing.T, l *lab) {
				pair := l.pod("client", "server")
				client, server := pair[0].start(), pair[1]
				fd := client.number("socket %s stream", test.family)
				called := client.begin("-", "connect %d %s %d", fd, test.to, port)
				l.waitHolds(1)
				l.waitParked(1)
				listener := server.start().listener(test.listens, port)
				client.want(called, "ok")
				exchange(t, client, fd, server, listener, false)
				client.must("connect %d %s %d", client.number("socket %s stream", test.family), test.to, port)
				l.waitHolds(1)
				l.waitEnds(1, event.Released)
			})
		})
	}
}

// TestKernelLoopbackPasses: what is of no instance passes, on a shared loopback
// too, and so does all on a loopback that is not shared.
func TestKernelLoopbackPasses(t *testing.T) {
	l := newLab(t, parked())
	pair := l.pod("client", "other")
	client, other := pair[0].start(), pair[1]
	var foreign *actor
	client.ns.Do(t, func() error {
		foreign = play(t, nil, "")
		return nil
	})
	foreign.listener("127.0.0.1", port)
	client.must("connect %d 127.0.0.1 %d", client.tcp(), port)
	if got := client.do("connect %d 127.0.0.11 53", client.tcp()); got != "ECONNREFUSED" {
		t.Errorf("a connect to the name server of an engine: %s", got)
	}
	client.listener("127.0.0.1", port+1)
	client.must("connect %d 127.0.0.1 %d", client.tcp(), port+1)
	called := client.begin("-", "connect %d 127.0.0.1 %d", client.tcp(), port+2)
	l.waitHolds(1)
	other.start().end(3)
	client.want(called, "ECONNREFUSED")

	lone := l.container("lone", testenv.NewNetNS(t), serverAt, func(in *Instance) { in.Loopback = netip.MustParseAddr("::1%lone") }).start()
	if got := lone.do("connect %d 127.0.0.1 %d", lone.tcp(), port); got != "ECONNREFUSED" {
		t.Errorf("a connect to one's own loopback: %s", got)
	}
	l.waitHolds(1)
}

// TestKernelLoopbackHeld: a lone instance may ask to be held on its loopback.
func TestKernelLoopbackHeld(t *testing.T) {
	l := newLab(t, parked())
	self := l.container("self", testenv.NewNetNS(t), serverAt, func(in *Instance) {
		in.Loopback, in.HoldSelf = netip.MustParseAddr("::1%self"), true
	}).start()
	fd := self.tcp()
	called := self.begin("t", "connect %d 127.0.0.1 %d", fd, port)
	l.waitHolds(1)
	l.waitParked(1)
	listener := self.listener("127.0.0.1", port)
	self.want(called, "ok")
	exchange(t, self, fd, self, listener, false)
	l.waitEnds(1, event.Released)
}

// TestKernelPublished: who is on the host waits for the container, though an
// engine's proxy accepts for it, and then gets what it asked for: the proxy.
func TestKernelPublished(t *testing.T) {
	const published = port + 1
	for _, kind := range []string{"process", "container"} {
		t.Run(kind, func(t *testing.T) {
			forWays(t, []way{parked(), kept()}, func(t *testing.T, l *lab) {
				server := l.container("server", testenv.NewNetNS(t), serverAt, l.serves)
				l.Publish(netip.MustParseAddrPort(fmt.Sprintf("0.0.0.0:%d", published)), netip.AddrPortFrom(server.addr, port))
				client := l.add("client", func(in *Instance) {
					if in.OnHost = true; kind == "container" {
						in.Addrs, in.Rewrite, in.Loopback = nil, false, netip.MustParseAddr("::1%host")
					}
				})
				proxy := play(t, nil, "")
				listener := proxy.listener("127.0.0.1", published)
				client.start()
				fd := client.tcp()
				called := client.begin("-", "connect %d 127.0.0.1 %d", fd, published)
				l.waitHolds(1)
				l.waitParked(1)
				server.start().listener("0.0.0.0", port)
				client.want(called, "ok")
				client.number("write %d abc", fd)
				if got := proxy.do("read %d", proxy.number("accept %d", listener)); got != "abc" {
					t.Errorf("the proxy read %q", got)
				}
				client.must("connect %d 127.0.0.1 %d", client.tcp(), published)
				l.waitHolds(1)
				l.waitEnds(1, event.Released)
				l.Unpublish(netip.MustParseAddrPort(fmt.Sprintf("[::]:%d", published)))
				server.end(0)
				client.must("connect %d 127.0.0.1 %d", client.tcp(), published)
			})
		})
	}
}

// TestKernelRemoved: nobody waits for an instance that is not there any more.
func TestKernelRemoved(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		client, server := l.pair()
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(1)
		l.waitParked(1)
		l.Remove("server")
		l.wantRefused(client, fd, called)
		l.waitEnds(1, event.Refused)
		if cause := l.all(isEnded)[0].Cause; cause != "server was removed" {
			t.Errorf("the cause is %q", cause)
		}
		if got := client.do("connect %d %s", client.tcp(), server.at(port)); got != "ECONNREFUSED" {
			t.Errorf("a connect to nobody: %s", got)
		}
		other := l.add("other", l.serves)
		called = client.begin("-", "connect %d %s", client.tcp(), other.at(port))
		l.wait(2, "holds began", isBegun)
		other.start().listener("0.0.0.0", port)
		client.want(called, "ok")
	})
}
