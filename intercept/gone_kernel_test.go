package intercept

import (
	"testing"

	"upall/internal/event"
)

// TestKernelClientCloses: a client that gives up is not waited for, and its
// connect never reaches the server.
func TestKernelClientCloses(t *testing.T) {
	forWays(t, []way{parked(), early()}, func(_ *testing.T, l *lab) {
		client, server := l.pair()
		fd := client.number("socket 4 stream 0 nonblock")
		client.want(client.begin("-", "connect %d %s", fd, server.at(port)), "EINPROGRESS")
		l.waitHolds(1)
		l.waitParked(1)
		client.must("close %d", fd)
		l.waitEnds(1, event.Canceled)
		if l.way.Way == event.Early {
			return // the kernel has accepted it, and so will the server
		}
		server.start()
		l.onlyNext(client, server)
	})
}

// TestKernelClientDies: neither is one that dies.
func TestKernelClientDies(t *testing.T) {
	forWays(t, allWays(), func(_ *testing.T, l *lab) {
		client, server := l.pair()
		client.begin("-", "connect %d %s", client.tcp(), server.at(port))
		l.waitHolds(1)
		l.waitParked(1)
		client.kill()
		l.waitEnds(1, event.Canceled)
		if l.way.Way == event.Early {
			return
		}
		server.start()
		l.onlyNext(l.add("next").start(), server)
	})
}

// onlyNext checks that the server's first client is the one that connects now.
func (l *lab) onlyNext(client, server *performer) {
	l.t.Helper()
	listener := server.number("socket 4 stream 0 nonblock")
	server.must("bind %d 0.0.0.0 %d", listener, port)
	server.must("listen %d 9", listener)
	fd := client.tcp()
	client.must("connect %d %s", fd, server.at(port))
	client.number("write %d next", fd)
	server.must("poll %d in", listener)
	conn := server.number("accept %d", listener)
	if got := server.do("read %d", conn); got != "next" {
		l.t.Errorf("the server's first client says %q", got)
	}
	if got := server.do("accept %d", listener); got != "EAGAIN" {
		l.t.Errorf("the server has another client: %s", got)
	}
}

// TestKernelFailedConnect: a parked connect that fails in the kernel before its
// SYN is no hold for long.
func TestKernelFailedConnect(t *testing.T) {
	l := newLab(t, parked())
	client, server := l.pair()
	fd := client.tcp()
	// There is no way to the loopback from an address that the machine has not.
	client.must("set %d 0 15 1", fd) // IP_FREEBIND
	client.must("bind %d 192.0.2.1 0", fd)
	client.must("set %d 0 15 0", fd)
	if got := client.do("connect %d %s", fd, server.at(port)); got != "ENETUNREACH" && got != "EINVAL" {
		t.Fatalf("connect: %s", got)
	}
	l.waitEnds(1, event.Canceled)
}
