package intercept

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/event"
	"upall/internal/testenv"
)

// TestKernelIPv6: instances that have IPv6 addresses of their own, as containers
// do, are held there as well.
func TestKernelIPv6(t *testing.T) {
	forWays(t, []way{parked(), kept()}, func(t *testing.T, l *lab) {
		testenv.Need(t, hasOwn6(), "a network namespace of its own")
		server := l.add("server", l.serves, func(in *Instance) {
			in.Addrs, in.Second, in.Rewrite = []netip.Addr{own6}, netip.Addr{}, false
		})
		client := l.add("client", func(in *Instance) { in.Rewrite = false }).start()
		for _, kind := range []string{"6 stream", "6 stream 0 nonblock"} {
			fd := client.number("socket %s", kind)
			called := client.begin("-", "connect %d %s", fd, server.at(port))
			l.wait(1, "holds began", func(e event.Event) bool { return isBegun(e) && e.Way == l.way.Way })
			listener := server.start().number("socket 6 stream")
			server.must("set %d %d %d 1", listener, unix.SOL_SOCKET, unix.SO_REUSEADDR)
			server.must("bind %d :: %d", listener, port)
			server.must("listen %d 9", listener)
			if got := client.answer(called); got != "ok" && got != "EINPROGRESS" {
				t.Errorf("connect: %s", got)
			}
			client.want(client.begin("-", "poll %d out", fd), "ok")
			exchange(t, client, fd, server, listener, false)
			l.waitEnds(1, event.Released)
			server.kill()
			l.Ended("server", 1, false)
			l.mu.Lock()
			l.events = nil
			l.mu.Unlock()
		}
	})
}
