package intercept

import (
	"testing"

	"upall/internal/event"
)

// TestKernelOnDemand: an early listener is opened for a client that must not
// block, but never in the way of a server that has bound the port already.
func TestKernelOnDemand(t *testing.T) {
	for _, test := range []struct {
		name  string
		bound bool
		way   event.Way
	}{{"before the bind", false, event.Early}, {"after the bind", true, event.Kept}} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, early())
			server := l.add("server", func(in *Instance) { in.OnDemand = func(uint16) bool { return true } }).start()
			client := l.add("client").start()
			listener := server.tcp()
			if test.bound {
				server.must("bind %d 0.0.0.0 %d", listener, port)
			}
			fd := client.number("socket 4 stream 0 nonblock")
			called := client.begin("-", "connect %d %s", fd, server.at(port))
			l.wait(1, "holds began", isBegun)
			if got := l.all(isBegun)[0].Way; got != test.way {
				t.Errorf("it is held in the way %q, want %q", got, test.way)
			}
			if !test.bound {
				server.must("bind %d 0.0.0.0 %d", listener, port)
			}
			server.must("listen %d 9", listener)
			client.want(called, "EINPROGRESS")
			client.want(client.begin("-", "poll %d out", fd), "ok")
			exchange(t, client, fd, server, listener, false)
			l.waitEnds(1, event.Released)
		})
	}
}
