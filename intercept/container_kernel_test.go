package intercept

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// The ends of the pair of interfaces between the namespaces of client and server.
var (
	clientAt = netip.MustParsePrefix("10.99.0.1/24")
	serverAt = netip.MustParsePrefix("10.99.0.2/24")
)

// joined makes two namespaces that reach each other.
func joined(t *testing.T) (forClient, forServer *testenv.NetNS) {
	t.Helper()
	forClient, forServer = testenv.NewNetNS(t), testenv.NewNetNS(t)
	testenv.Join(t, forClient, clientAt, forServer, serverAt)
	return forClient, forServer
}

// containers are a client that runs and a server that does not yet, each in a
// network namespace of its own.
func (l *lab) containers() (client, server *performer) {
	l.t.Helper()
	forClient, forServer := joined(l.t)
	server = l.container("server", forServer, serverAt, l.serves)
	return l.container("client", forClient, clientAt).start(), server
}

// TestKernelContainers: a client waits for a server of another network namespace.
func TestKernelContainers(t *testing.T) {
	for _, kind := range []string{"4 stream", "4 stream 0 nonblock", "6 stream"} {
		t.Run(kind, func(t *testing.T) {
			forWays(t, []way{parked(), kept()}, func(t *testing.T, l *lab) {
				client, server := l.containers()
				fd := client.number("socket %s", kind)
				target := server.at(port)
				if kind == "6 stream" {
					target = "::ffff:" + target
				}
				called := client.begin("-", "connect %d %s", fd, target)
				l.waitHolds(1)
				l.waitParked(1)
				listener := server.start().listener("0.0.0.0", port)
				l.waitEnds(1, event.Released)
				if got := client.answer(called); got != "ok" && got != "EINPROGRESS" {
					t.Errorf("connect: %s", got)
				}
				client.want(client.begin("-", "poll %d out", fd), "ok")
				exchange(t, client, fd, server, listener, false)
				client.must("connect %d %s", client.tcp(), server.at(port))
				l.waitHolds(1)
			})
		})
	}
}

// TestKernelContainersCrowd: releases keep the pace of an accept queue that is in
// another network namespace than the clients.
func TestKernelContainersCrowd(t *testing.T) {
	const crowd = 200
	l := newLab(t, parked())
	client, server := l.containers()
	called := client.begin("-", "crowd nonblock %d %s", crowd, server.at(port))
	l.waitHolds(crowd)
	l.waitParked(crowd)
	server.start()
	listener := server.tcp()
	server.must("bind %d 0.0.0.0 %d", listener, port)
	server.must("listen %d 5", listener)
	served := server.begin("-", "serve %d %d 2000", listener, crowd)
	client.want(called, fmt.Sprintf("%d ok", crowd))
	server.want(served, strconv.Itoa(crowd))
	l.waitEnds(crowd, event.Released)
	if n := overflows(t, server); n > 0 {
		t.Errorf("the accept queue overflowed %d times", n)
	}
}

// TestKernelNamespaceEnds: a network namespace ends with its processes, whatever
// upall had to do there. Its end of the pair of interfaces goes with it.
func TestKernelNamespaceEnds(t *testing.T) {
	for _, role := range []string{"client", "server"} {
		t.Run(role, func(t *testing.T) {
			l := newLab(t, parked())
			client, server := l.containers()
			fd, another := client.tcp(), client.tcp()
			called := client.begin("-", "connect %d %s", fd, server.at(port))
			l.waitHolds(1)
			l.waitParked(1)
			goes, stays := client, server.ns
			if role == "server" {
				server.start().listener("0.0.0.0", port)
				client.want(called, "ok")
				goes, stays = server, client.ns
			} else {
				client.begin("t", "connect %d %s", another, server.at(port+1))
				l.waitHolds(2)
			}
			goes.ns.Close()
			goes.kill() // nobody tells Ended
			testenv.Eventually(t, patience, func() error {
				var left bool
				stays.Do(t, func() error {
					_, err := net.InterfaceByName("eth0")
					left = err == nil
					return nil
				})
				if left {
					return fmt.Errorf("the namespace is still there")
				}
				return nil
			})
			l.do(func() {
				if goes.name == "client" && len(l.holds) > 0 {
					t.Errorf("%d holds are left", len(l.holds))
				}
			})
		})
	}
}

// TestKernelSession: sessions in a container come and go without its first
// process being any the worse for it.
func TestKernelSession(t *testing.T) {
	l := newLab(t, parked())
	client, server := l.containers()
	fd := client.tcp()
	called := client.begin("-", "connect %d %s", fd, server.at(port))
	l.waitHolds(1)
	l.waitParked(1)
	session := client.session()
	calledThere := session.begin("-", "connect %d %s", session.tcp(), server.at(port))
	l.waitHolds(2)
	l.waitParked(2)
	session.kill()
	session.want(calledThere, dead)
	testenv.Eventually(t, patience, func() error {
		var sources int
		l.do(func() { sources = len(l.sources) })
		if sources != 1 {
			return fmt.Errorf("%d sources are open, want the first process's", sources)
		}
		return nil
	})
	listener := server.start().listener("0.0.0.0", port)
	client.want(called, "ok")
	exchange(t, client, fd, server, listener, false)
}

// TestKernelContainerRestarts: what an engine starts again is held again, in the
// same network namespace or in another.
func TestKernelContainerRestarts(t *testing.T) {
	l := newLab(t, parked())
	client, server := l.containers()
	for round := range 3 {
		server.start().listener("0.0.0.0", port)
		client.must("connect %d %s", client.tcp(), server.at(port))
		server.end(0)
		if got := client.do("connect %d %s", client.tcp(), server.at(port)); got != "ECONNREFUSED" {
			t.Errorf("round %d: a connect to what has exited: %s", round, got)
		}
		l.Started("server")
		called := client.begin("-", "connect %d %s", client.tcp(), server.at(port))
		l.waitHolds(round + 1)
		l.waitParked(1)
		server.start().listener("0.0.0.0", port)
		client.want(called, "ok")
		server.end(0)
	}
}

// TestKernelLateEnd: the end of a container's last run may be told when its next
// one has begun.
func TestKernelLateEnd(t *testing.T) {
	l := newLab(t, parked())
	client, server := l.containers()
	client.must("connect %d %s", client.tcp(), serverUp(server))
	client.kill()
	next := client.session()
	fd := next.tcp()
	l.Ended("client", 1, false)
	l.Started("client")
	next.must("connect %d %s", fd, server.at(port))
	server.end(0)
	l.Started("server")
	called := next.begin("-", "connect %d %s", next.tcp(), server.at(port))
	l.waitHolds(1)
	l.waitParked(1)
	server.start().listener("0.0.0.0", port)
	next.want(called, "ok")
}

// serverUp starts a server and returns where it listens.
func serverUp(server *performer) string {
	server.start().listener("0.0.0.0", port)
	return server.at(port)
}

// TestKernelProbeInside: a serve probe comes from within the server's network
// namespace, where alone it is reached.
func TestKernelProbeInside(t *testing.T) {
	l := newLab(t, parked())
	client, server := l.containers()
	program, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	server.program = filepath.Join(t.TempDir(), "redis-server") // which is known to listen early
	if err := os.WriteFile(server.program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	fd := client.tcp()
	called := client.begin("-", "connect %d %s", fd, server.at(port))
	l.waitHolds(1)
	listener := server.start().listener("0.0.0.0", port)
	conn := server.number("accept %d", listener)
	if asks := server.do("read %d", conn); len(asks) == 0 || asks == "end" {
		t.Errorf("the probe says %q", asks)
	}
	if ends := l.all(isEnded); len(ends) > 0 {
		t.Errorf("ended before the server serves: %s", describe(ends...))
	}
	server.number("write %d something", conn)
	client.want(called, "ok")
	exchange(t, client, fd, server, listener, false)
	l.waitEnds(1, event.Released)
}
