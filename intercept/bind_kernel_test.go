package intercept

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/event"
	"upall/internal/testenv"
)

// TestKernelBind: wherever a program would listen on all addresses or on the
// loopback, it listens on its own, and two may use the same port.
func TestKernelBind(t *testing.T) {
	for _, addr := range []string{"0.0.0.0", "::", "127.0.0.1", "::1", "own"} {
		t.Run(addr, func(t *testing.T) {
			forWays(t, allWays(), func(t *testing.T, l *lab) {
				servers := []*performer{l.add("one", l.serves).start(), l.add("two", l.serves).start()}
				client := l.add("client").start()
				for _, s := range servers {
					at := strings.ReplaceAll(addr, "own", s.addr.String())
					listener := s.listener(at, port)
					if name := s.do("name %d", listener); !strings.HasSuffix(name, fmt.Sprintf("%s:%d", s.addr, port)) && !strings.HasSuffix(name, fmt.Sprintf("%s]:%d", s.addr, port)) {
						t.Errorf("%s listens on %s", s.name, name)
					}
					fd := client.tcp()
					client.must("connect %d %s", fd, s.at(port))
					exchange(t, client, fd, s, listener, false)
				}
			})
		})
	}
}

// TestKernelBindBoth: a program that listens on IPv4 and apart on IPv6, as redis,
// nginx and postgres do, gets both, in either order.
func TestKernelBindBoth(t *testing.T) {
	for _, order := range []string{"4 6", "6 4"} {
		t.Run(order, func(t *testing.T) {
			forWays(t, allWays(), func(t *testing.T, l *lab) {
				server, client := l.add("server", l.serves).start(), l.add("client").start()
				var listeners []int
				for family := range strings.FieldsSeq(order) {
					fd := server.number("socket %s stream", family)
					addr := "0.0.0.0"
					if family == "6" {
						server.must("set %d %d %d 1", fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
						addr = "::"
					}
					server.must("bind %d %s %d", fd, addr, port)
					server.must("listen %d 9", fd)
					listeners = append(listeners, fd)
				}
				fd := client.tcp()
				client.must("connect %d %s", fd, server.at(port))
				exchange(t, client, fd, server, listeners[0], false)
				if got := server.do("bind %d 0.0.0.0 %d", server.tcp(), port); order == "4 6" && got != "EADDRINUSE" {
					t.Errorf("a third bind: %s", got)
				}
			})
		})
	}
}

// TestKernelBindAnyPort: port 0 is none of a service.
func TestKernelBindAnyPort(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		server := l.add("server", l.serves).start()
		if name := server.do("name %d", server.listener("0.0.0.0", 0)); !strings.HasPrefix(name, "0.0.0.0:") || name == "0.0.0.0:0" {
			t.Errorf("it listens on %s", name)
		}
	})
}

// TestKernelBindUDP: declared UDP ports are rewritten, others may be of clients.
func TestKernelBindUDP(t *testing.T) {
	l := newLab(t, kept())
	server := l.add("server", func(in *Instance) { in.UDPPorts = []uint16{port} }).start()
	for p, want := range map[uint16]string{port: fmt.Sprintf("%s:%d", server.addr, port), port + 1: fmt.Sprintf("0.0.0.0:%d", port+1)} {
		fd := server.number("socket 4 dgram")
		server.must("bind %d 0.0.0.0 %d", fd, p)
		if name := server.do("name %d", fd); name != want {
			t.Errorf("port %d is bound as %s", p, name)
		}
	}
	if got := server.do("bind %d 0.0.0.0 %d", server.number("socket 4 dgram"), port); got != "EADDRINUSE" {
		t.Errorf("the same again: %s", got)
	}
}

// TestKernelBindProbe: a program may see whether a port is free before it uses it.
func TestKernelBindProbe(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		server, client := l.add("server", l.serves).start(), l.add("client").start()
		probe := server.tcp()
		server.must("bind %d 0.0.0.0 %d", probe, port)
		server.must("close %d", probe)
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(1)
		listener := server.listener("0.0.0.0", port)
		client.want(called, "ok")
		exchange(t, client, fd, server, listener, false)
	})
}

// TestKernelReusePort: workers with a socket each share the port.
func TestKernelReusePort(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		server, client := l.add("server", l.serves).start(), l.add("client").start()
		var listeners []int
		for range 3 {
			fd := server.tcp()
			server.must("set %d %d %d 1", fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
			server.must("bind %d 0.0.0.0 %d", fd, port)
			listeners = append(listeners, fd)
		}
		for _, fd := range listeners {
			server.must("listen %d 9", fd)
			if name := server.do("name %d", fd); name != fmt.Sprintf("%s:%d", server.addr, port) {
				t.Errorf("a worker listens on %s", name)
			}
		}
		client.must("connect %d %s", client.tcp(), server.at(port))
	})
}

// TestKernelWorkers: processes may share a socket that their parent has bound,
// whoever of them listens.
func TestKernelWorkers(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		server, client := l.add("server", l.serves).start(), l.add("client").start()
		first := client.begin("t", "connect %d %s", client.tcp(), server.at(port))
		l.waitHolds(1)
		listener := server.tcp()
		server.must("bind %d 0.0.0.0 %d", listener, port)
		const workers = 3
		var served []<-chan string
		for range workers {
			served = append(served, server.begin("f", "work %d 9", listener))
		}
		client.want(first, "ok")
		l.wait(1, "holds released", func(e event.Event) bool { return isEnded(e) && e.End == event.Released })
		for range workers { // one more than there are left: the first has no data yet
			fd := client.tcp()
			client.must("connect %d %s", fd, server.at(port))
			client.number("write %d abc", fd)
		}
		testenv.Eventually(t, patience, func() error {
			n := 0
			for _, s := range served {
				n += len(s)
			}
			if n < workers-1 {
				return fmt.Errorf("%d workers have served", n)
			}
			return nil
		})
	})
}

// TestKernelPrefork: nor does it matter who accepts.
func TestKernelPrefork(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		server, client := l.add("server", l.serves).start(), l.add("client").start()
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(1)
		listener := server.listener("0.0.0.0", port)
		client.want(called, "ok")
		for range 2 {
			accepted := server.begin("f", "accept %d", listener)
			client.must("connect %d %s", client.tcp(), server.at(port))
			if got := server.answer(accepted); got == dead || strings.HasPrefix(got, "E") {
				t.Errorf("accept in a child: %s", got)
			}
		}
	})
}

// TestKernelOptions: a listener has what was set on the socket before.
func TestKernelOptions(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		server := l.add("server", l.serves).start()
		fd := server.number("socket 4 stream 0 nonblock")
		server.must("fcntl %d %d %d", fd, unix.F_SETFD, unix.FD_CLOEXEC)
		server.must("set %d %d %d 1", fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		server.must("set %d %d %d 77", fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
		server.must("bind %d 0.0.0.0 %d", fd, port)
		server.must("listen %d 7", fd)
		for order, want := range map[string]string{
			fmt.Sprintf("fcntl %d %d", fd, unix.F_GETFD):                         "1",
			fmt.Sprintf("fcntl %d %d", fd, unix.F_GETFL):                         fmt.Sprint(unix.O_RDWR | unix.O_NONBLOCK),
			fmt.Sprintf("get %d %d %d", fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE):  "1",
			fmt.Sprintf("get %d %d %d", fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE): "77",
			fmt.Sprintf("get %d %d %d", fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN): "1",
			fmt.Sprintf("accept %d", fd):                                         "EAGAIN",
		} {
			if got := server.do("%s", order); got != want {
				t.Errorf("%s: %s, want %s", order, got, want)
			}
		}
	})
}
