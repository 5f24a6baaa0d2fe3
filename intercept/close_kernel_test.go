package intercept

import (
	"testing"

	"upall/intercept/park"
	"upall/intercept/registry"
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
	dropQueued := hookOfAnother(t)
	fd := client.tcp()
	called := client.begin("-", "connect %d %s", fd, server.at(port))
	l.waitHolds(1)
	l.waitParked(1)
	dropQueued()
	listener := server.start().listener("0.0.0.0", port)
	client.want(called, "ok")
	exchange(t, client, fd, server, listener, false)
	l.waitEnds(1, event.Released)
}

// TestKernelRefusedHookGone: who is refused while its SYN is on its way again is
// refused when that comes.
func TestKernelRefusedHookGone(t *testing.T) {
	l := newLab(t, parked())
	server, job := l.add("server", l.serves), l.add("job").start()
	client := l.add("client", func(in *Instance) {
		in.Requires = []registry.Requirement{{Service: "job", Condition: registry.ServiceCompleted, Required: true}}
	}).start()
	server.start().listener("0.0.0.0", port)
	dropQueued := hookOfAnother(t)
	called := client.begin("-", "connect %d %s", client.tcp(), server.at(port))
	l.waitHolds(1)
	l.waitParked(1)
	dropQueued()
	job.end(1)
	l.waitEnds(1, event.Refused)
	client.want(called, "ECONNREFUSED")
}

// hookOfAnother is what another upall has here. Its end makes the kernel drop what
// is queued.
func hookOfAnother(t *testing.T) (end func()) {
	t.Helper()
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
	return func() {
		t.Helper()
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
