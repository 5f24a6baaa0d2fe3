package intercept

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/event"
)

// A dialer is a way in which programs connect. Its result is that of the call
// that was held; the socket is connected then or when poll says so.
type dialer struct {
	name   string
	socket string
	setup  []string // of the socket
	mapped bool     // the IPv4 address is given as an IPv6 one
	call   string   // with the descriptor and the address
	ways   []way
	result map[event.Way]string
}

func dialers() []dialer {
	all := allWays()
	ok := map[event.Way]string{event.Parked: "ok", event.Kept: "ok", event.Early: "ok"}
	later := map[event.Way]string{event.Parked: "EINPROGRESS", event.Kept: "EINPROGRESS", event.Early: "EINPROGRESS"}
	three := map[event.Way]string{event.Parked: "3", event.Kept: "3", event.Early: "3"}
	const connect, mptcp = "connect %d %s", "262"
	const noCookie = 34 // TCP_FASTOPEN_NO_COOKIE of linux/tcp.h
	fastOpen := fmt.Sprintf("set %%d %d %d 1", unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT)
	always := fmt.Sprintf("set %%d %d %d 1", unix.IPPROTO_TCP, noCookie)
	return []dialer{
		{name: "blocking", socket: "4 stream", call: connect, ways: all, result: ok},
		{name: "non-blocking", socket: "4 stream 0 nonblock", call: connect, ways: all, result: later},
		{name: "v4-mapped", socket: "6 stream", mapped: true, call: connect, ways: all, result: ok},
		{name: "v4-mapped non-blocking", socket: "6 stream 0 nonblock", mapped: true, call: connect, ways: all, result: later},
		{name: "MPTCP", socket: "4 stream " + mptcp, call: connect, ways: all, result: ok},
		{name: "MPTCP non-blocking", socket: "4 stream " + mptcp + " nonblock", call: connect, ways: all, result: later},
		{name: "TCP_FASTOPEN_CONNECT", socket: "4 stream", setup: []string{fastOpen}, call: connect, ways: all, result: ok},
		{name: "deferred", socket: "4 stream", setup: []string{always, fastOpen}, call: connect, ways: all, result: ok},
		{name: "sendto", socket: "4 stream", call: "sendto %d %s abc", ways: all, result: three},
		{name: "sendto without cookie", socket: "4 stream", setup: []string{always}, call: "sendto %d %s abc", ways: all, result: three},
		{name: "sendmsg", socket: "4 stream", call: "sendmsg %d %s abc", ways: all, result: three},
	}
}

// TestKernelConnect: however a program connects, it is held until the server
// listens, and then data flows.
func TestKernelConnect(t *testing.T) {
	for _, d := range dialers() {
		t.Run(d.name, func(t *testing.T) {
			forWays(t, d.ways, func(t *testing.T, l *lab) { d.test(t, l) })
		})
	}
}

func (d dialer) test(t *testing.T, l *lab) {
	client, server := l.pair()
	fd := client.number("socket %s", d.socket)
	for _, option := range d.setup {
		client.must(option, fd)
	}
	target := server.at(port)
	if d.mapped {
		target = "::ffff:" + target
	}
	called := client.begin("-", d.call, fd, target)
	l.waitHolds(1)
	if d.name == "deferred" && l.way.Way == event.Parked {
		client.want(called, "ok") // the first write will send the SYN
		called = client.begin("-", "write %d abc", fd)
		d.result = map[event.Way]string{event.Parked: "3"}
	} else if l.way.Way == event.Parked && d.result[event.Parked] == "EINPROGRESS" {
		client.want(called, "EINPROGRESS") // at once
		called = nil
	}
	l.waitParked(1)
	if ends := l.all(isEnded); len(ends) > 0 {
		t.Fatalf("ended early: %s", describe(ends...))
	}
	listener := server.start().listener("0.0.0.0", port)
	l.waitEnds(1, event.Released)
	if called != nil {
		client.want(called, d.result[l.way.Way])
	}
	client.want(client.begin("-", "poll %d out", fd), "ok")
	exchange(t, client, fd, server, listener, d.result[l.way.Way] == "3")
	l.wait(1, "holds", isBegun)
}

// exchange has the server accept the client and data go both ways.
func exchange(t *testing.T, client *performer, fd int, server *performer, listener int, sent bool) {
	t.Helper()
	if !sent {
		client.number("write %d abc", fd)
	}
	conn := server.number("accept %d", listener)
	if got := server.do("read %d", conn); got != "abc" {
		t.Errorf("the server read %q", got)
	}
	server.number("write %d xyz", conn)
	if got := client.do("read %d", fd); got != "xyz" && got != "EAGAIN" {
		t.Errorf("the client read %q", got)
	}
}
