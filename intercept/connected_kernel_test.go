package intercept

import (
	"testing"

	"upall/internal/event"
)

func isConnected(e event.Event) bool { return e.Type == event.Connected }

// TestKernelConnected: the first connect of an instance to another in a run is told,
// held or not, and no later one.
func TestKernelConnected(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		client, server := l.pair()
		called := client.begin("-", "connect %d %s", client.tcp(), server.at(port))
		l.waitHolds(1)
		server.start().listener("0.0.0.0", port)
		client.want(called, "ok")
		for range 3 {
			client.must("connect %d %s", client.tcp(), server.at(port))
		}
		l.wait(1, "connects told", isConnected)
		other := l.add("other").start()
		for range 3 { // never held
			other.must("connect %d %s", other.tcp(), server.at(port))
		}
		server.must("connect %d %s", server.tcp(), server.at(port)) // itself
		l.wait(2, "connects told", isConnected)
		for _, e := range l.all(isConnected) {
			if e.Target != "server" || e.Port != port || e.Service != e.Instance {
				t.Errorf("it tells %+v", e)
			}
		}
		client.kill()
		l.Ended("client", 1, false)
		client.start().must("connect %d %s", client.tcp(), server.at(port))
		l.wait(3, "connects told", isConnected)
	})
}

// TestKernelDescribedAnew: an instance that is added again goes on, with what is said
// of it now.
func TestKernelDescribedAnew(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		client, server := l.pair()
		again := func(ports ...uint16) {
			l.do(func() {})
			in := l.instances["server"].Instance
			in.Ports, in.Metadata = ports, ""
			if in.Early != nil {
				in.Early = ports
			}
			if metadata := l.Add(in); metadata != server.metadata {
				t.Errorf("the metadata is %q, was %q", metadata, server.metadata)
			}
		}
		again(port + 1)
		called := client.begin("-", "connect %d %s", client.tcp(), server.at(port+1))
		l.waitHolds(1)
		server.start().listener("0.0.0.0", port+1)
		client.want(called, "ok")
		l.wait(1, "serve", func(e event.Event) bool { return e.Type == event.Serving })
		again(port+1, port+2)
		client.must("connect %d %s", client.tcp(), server.at(port+1))
		server.listener("0.0.0.0", port+2)
		client.must("connect %d %s", client.tcp(), server.at(port+2))
	})
}
