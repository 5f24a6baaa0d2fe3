package intercept

import (
	"testing"

	"upall/intercept/park"
	"upall/internal/event"
)

// TestKernelClose: the holds that are open at the end are answered.
func TestKernelClose(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		client, server := l.pair()
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(1)
		l.waitParked(1)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l.wantRefused(client, fd, called)
		l.waitEnds(1, event.Refused)
	})
}

// TestKernelRestart: a hold outlives its server's restart.
func TestKernelRestart(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		client, server := l.pair()
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(1)
		server.start()
		probe := server.tcp()
		server.must("bind %d 0.0.0.0 %d", probe, port)
		server.kill()
		l.Ended("server", 1, false)
		listener := server.start().listener("0.0.0.0", port)
		client.want(called, "ok")
		exchange(t, client, fd, server, listener, false)
		l.waitEnds(1, event.Released)

		// With connections of its life before still there.
		server.kill()
		l.Ended("server", 1, false)
		fd = client.tcp()
		called = client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(2)
		listener = server.start().listener("0.0.0.0", port)
		client.want(called, "ok")
		exchange(t, client, fd, server, listener, false)
		l.waitEnds(2, event.Released)
	})
}

// TestKernelHookGone: the kernel drops queued packets when anyone's netfilter hook
// of the namespace goes. The hold survives that.
func TestKernelHookGone(t *testing.T) {
	l := newLab(t, parked())
	client, server := l.pair()
	var other *park.Parker
	opened := make(chan struct{})
	other, err := park.Open(park.Options{Handle: func(p park.Packet) {
		<-opened
		_ = other.Accept(p.ID) // or the SYN comes again
	}})
	if err != nil {
		t.Fatal(err)
	}
	close(opened)
	fd := client.tcp()
	called := client.begin("-", "connect %d %s", fd, server.at(port))
	l.waitHolds(1)
	l.waitParked(1)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	listener := server.start().listener("0.0.0.0", port)
	client.want(called, "ok")
	exchange(t, client, fd, server, listener, false)
	l.waitEnds(1, event.Released)
}
