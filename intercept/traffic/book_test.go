package traffic

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"upall/intercept/sockdiag"
)

// The host, where processes share all addresses, and two containers.
var (
	host  = Space{Ino: 1}
	web   = Space{Ino: 2}
	db    = Space{Ino: 3}
	own   = netip.MustParseAddrPort("127.0.0.1:40000")
	api   = netip.MustParseAddrPort("127.64.0.2:8080")
	webAt = netip.MustParseAddrPort("10.1.0.2:40000")
	dbAt  = netip.MustParseAddrPort("10.1.0.3:5432")
	begin = time.Unix(1_000_000, 0)
)

// told is what the kernel tells of a socket that was connected.
func told(cookie uint64, local, remote netip.AddrPort, sent, received uint64) sockdiag.Traffic {
	return sockdiag.Traffic{
		Socket: sockdiag.Socket{Local: local, Remote: remote, Cookie: cookie, State: unix.BPF_TCP_ESTABLISHED},
		Sent:   sent, Received: received, RTT: 40 * time.Microsecond,
	}
}

// reset0 is what it tells of one that was closed with a reset.
func reset0(cookie uint64, port uint16) sockdiag.Traffic {
	return sockdiag.Traffic{Socket: sockdiag.Socket{Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port), Cookie: cookie}}
}

func newTestBook() *Book {
	b := NewBook()
	b.Enter(host, "", []netip.Addr{api.Addr()})
	b.Enter(web, "web-1", []netip.Addr{webAt.Addr()})
	b.Enter(db, "db-1", []netip.Addr{dbAt.Addr()})
	b.Know(api)
	b.Know(dbAt)
	return b
}

// text is one line for each flow.
func text(b *Book) string {
	var lines []string
	for _, f := range b.Flows() {
		lines = append(lines, fmt.Sprintf("%s %v sent %d/%d received %d/%d open %d\n", f.Client, f.Server, f.Sent, f.Closed.Sent, f.Received, f.Closed.Received, f.Open))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func list(b *Book, id Space, now time.Time, all ...sockdiag.Traffic) {
	b.Listed(id, all, now)
}

// sweep lists no open socket anywhere.
func sweep(b *Book, now time.Time) {
	for _, id := range []Space{host, web, db} {
		list(b, id, now)
	}
	b.Swept(now)
}

func claimAPI(b *Book, cookie uint64) {
	b.Claim(host, cookie, Claim{Key{"cron-1", api}, api})
}

// isOnly has a process connect, and tells whether it is to be the only one.
func isOnly(t *testing.T, b *Book, client string, want bool) {
	t.Helper()
	if got := b.IsOnly(host, Claim{Key{client, api}, api}); got != want {
		t.Errorf("%s is the only client: %v, want %v", client, got, want)
	}
}

func TestBook(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(*Book)
		want string
	}{
		"two containers": {func(b *Book) {
			b.Ended(web, told(1, webAt, dbAt, 100, 51), begin)
			b.Ended(db, told(2, dbAt, webAt, 50, 101), begin)
		}, "web-1 10.1.0.3:5432 sent 100/100 received 50/50 open 0\n"},
		"the server is told of first": {func(b *Book) {
			b.Ended(db, told(2, dbAt, webAt, 50, 101), begin)
			b.Ended(web, told(1, webAt, dbAt, 100, 51), begin)
		}, "web-1 10.1.0.3:5432 sent 100/100 received 50/50 open 0\n"},
		"two processes": {func(b *Book) {
			claimAPI(b, 1)
			b.Ended(host, told(1, own, api, 100, 51), begin)
			b.Ended(host, told(2, api, own, 50, 101), begin)
		}, "cron-1 127.64.0.2:8080 sent 100/100 received 50/50 open 0\n"},
		"the only client of a process": {func(b *Book) {
			isOnly(t, b, "cron-1", true)
			b.Ended(host, told(2, api, own, 50, 101), begin)
			b.Ended(host, told(1, own, api, 100, 51), begin)
			isOnly(t, b, "cron-1", true)
		}, "cron-1 127.64.0.2:8080 sent 100/100 received 50/50 open 0\n"},
		"a second client of a process": {func(b *Book) {
			isOnly(t, b, "cron-1", true)
			isOnly(t, b, "web-1", false)
			b.Claim(host, 3, Claim{Key{"web-1", api}, api})
			other := netip.AddrPortFrom(own.Addr(), 40001)
			b.Ended(host, told(4, api, other, 5, 8), begin)
			b.Ended(host, told(3, other, api, 7, 6), begin)
			b.Ended(host, told(2, api, own, 50, 101), begin)
			b.Ended(host, told(1, own, api, 100, 51), begin)
			isOnly(t, b, "cron-1", false)
		}, "cron-1 127.64.0.2:8080 sent 100/100 received 50/50 open 0\nweb-1 127.64.0.2:8080 sent 7/7 received 5/5 open 0\n"},
		"the only client resets, and the port is used again": {func(b *Book) {
			isOnly(t, b, "cron-1", true)
			b.Ended(host, reset0(1, own.Port()), begin)
			b.Ended(host, told(3, own, api, 7, 9), begin)
			b.Ended(host, told(2, api, own, 50, 100), begin)
			b.Ended(host, told(4, api, own, 8, 8), begin)
			b.Ended(host, told(6, api, own, 1, 2), begin)
			b.Ended(host, reset0(5, own.Port()), begin)
		}, "cron-1 127.64.0.2:8080 sent 108/107 received 59/58 open 0\n"}, // one end alone is seen of the last one
		"not of the project": {func(b *Book) {
			b.Ended(host, told(1, own, netip.MustParseAddrPort("127.0.0.1:22"), 100, 51), begin)
			b.Ended(host, told(2, netip.MustParseAddrPort("127.0.0.1:22"), own, 50, 101), begin)
			b.Ended(Space{Ino: 9}, told(3, webAt, dbAt, 100, 51), begin)
			if len(b.conns)+len(b.lone) > 0 {
				t.Error("a connection is remembered")
			}
		}, ""},
		"the client resets": {func(b *Book) {
			claimAPI(b, 1)
			b.Ended(host, reset0(1, own.Port()), begin)
			b.Ended(host, told(2, api, own, 50, 100), begin)
		}, "cron-1 127.64.0.2:8080 sent 100/100 received 50/50 open 0\n"},
		"the client resets, the server is told of first": {func(b *Book) {
			claimAPI(b, 1)
			b.Ended(host, told(2, api, own, 50, 100), begin)
			b.Ended(host, reset0(1, own.Port()), begin)
		}, "cron-1 127.64.0.2:8080 sent 100/100 received 50/50 open 0\n"},
		"the client resets what was listed": {func(b *Book) {
			claimAPI(b, 1)
			list(b, host, begin, told(1, own, api, 60, 50), told(2, api, own, 50, 60))
			b.Ended(host, reset0(1, own.Port()), begin)
			b.Ended(host, told(2, api, own, 50, 100), begin)
		}, "cron-1 127.64.0.2:8080 sent 100/100 received 50/50 open 0\n"},
		"the server resets": {func(b *Book) {
			b.Ended(db, reset0(2, dbAt.Port()), begin)
			b.Ended(web, told(1, webAt, dbAt, 100, 50), begin)
		}, "web-1 10.1.0.3:5432 sent 100/0 received 49/0 open 0\n"}, // it is not known that there was no end
		"a container resets": {func(b *Book) {
			b.Ended(web, reset0(1, webAt.Port()), begin)
			b.Ended(db, told(2, dbAt, webAt, 50, 100), begin)
		}, "web-1 10.1.0.3:5432 sent 100/100 received 50/50 open 0\n"},
		"a container resets, and the port is used again": {func(b *Book) {
			b.Ended(db, told(2, dbAt, webAt, 50, 100), begin)
			b.Ended(web, reset0(1, webAt.Port()), begin)
			b.Ended(web, told(3, webAt, dbAt, 7, 9), begin)
			b.Ended(db, told(4, dbAt, webAt, 8, 8), begin)
		}, "web-1 10.1.0.3:5432 sent 107/107 received 58/58 open 0\n"},
		"a container resets, and the server is told of late": {func(b *Book) {
			b.Ended(web, reset0(1, webAt.Port()), begin)
			b.Ended(web, told(3, webAt, dbAt, 7, 9), begin)
			b.Ended(db, told(2, dbAt, webAt, 50, 100), begin)
			b.Ended(db, told(4, dbAt, webAt, 8, 8), begin)
		}, "web-1 10.1.0.3:5432 sent 107/107 received 58/58 open 0\n"},
		"a refused connect": {func(b *Book) {
			claimAPI(b, 1)
			b.Ended(host, reset0(1, own.Port()), begin)
			claimAPI(b, 3)
			late := begin.Add(2 * loneTime)
			b.Ended(host, told(4, api, own, 50, 101), late) // another, of the same port
			b.Ended(host, told(3, own, api, 100, 51), late)
		}, "cron-1 127.64.0.2:8080 sent 100/100 received 50/50 open 0\n"},
		"open": {func(b *Book) {
			list(b, web, begin, told(1, webAt, dbAt, 70, 20))
			list(b, db, begin, told(2, dbAt, webAt, 30, 70))
		}, "web-1 10.1.0.3:5432 sent 70/0 received 30/0 open 1\n"},
		"half closed": {func(b *Book) {
			waits := told(2, dbAt, webAt, 30, 71)
			waits.State = unix.BPF_TCP_CLOSE_WAIT
			list(b, db, begin, waits)
		}, "web-1 10.1.0.3:5432 sent 70/0 received 30/0 open 1\n"},
		"the end is not told": {func(b *Book) {
			list(b, web, begin, told(1, webAt, dbAt, 70, 30))
			list(b, db, begin, told(2, dbAt, webAt, 30, 70))
			for range missing {
				sweep(b, begin)
			}
		}, "web-1 10.1.0.3:5432 sent 70/70 received 30/30 open 0\n"},
		"a container is killed": {func(b *Book) {
			list(b, web, begin, told(1, webAt, dbAt, 70, 30))
			b.Leave(web, begin)
			b.Ended(db, told(2, dbAt, webAt, 50, 90), begin)
		}, "web-1 10.1.0.3:5432 sent 89/89 received 50/50 open 0\n"},
		"one end alone": {func(b *Book) {
			b.Ended(db, told(2, dbAt, webAt, 50, 101), begin)
			for range 2 {
				sweep(b, begin.Add(loneTime))
			}
			if len(b.conns)+len(b.lone) > 0 {
				t.Error("it is remembered")
			}
		}, "web-1 10.1.0.3:5432 sent 100/100 received 50/50 open 0\n"},
		"the same ports again": {func(b *Book) {
			for n := range uint64(3) {
				b.Ended(web, told(10+n, webAt, dbAt, 100, 51), begin)
				b.Ended(db, told(20+n, dbAt, webAt, 50, 101), begin)
			}
		}, "web-1 10.1.0.3:5432 sent 300/300 received 150/150 open 0\n"},
		"a namespace that is shared from now on": {func(b *Book) {
			b.Enter(web, "sidecar-1", []netip.Addr{webAt.Addr()})
			b.Claim(web, 1, Claim{Key{"sidecar-1", dbAt}, dbAt})
			b.Ended(web, told(1, webAt, dbAt, 100, 51), begin)
			b.Ended(db, told(2, dbAt, webAt, 50, 101), begin)
		}, "sidecar-1 10.1.0.3:5432 sent 100/100 received 50/50 open 0\n"},
		"never connected": {func(b *Book) {
			claimAPI(b, 1)
			b.Ended(host, sockdiag.Traffic{Socket: sockdiag.Socket{Cookie: 1}}, begin)
			claimAPI(b, 2)
			timedOut := told(2, own, api, 0, 0)
			timedOut.RTT = 0
			b.Ended(host, timedOut, begin)
			if len(b.conns) > 0 {
				t.Error("a connection is remembered")
			}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestBook()
			test.do(b)
			if diff := cmp.Diff(test.want, text(b)); diff != "" {
				t.Errorf("flows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecentIsBounded(t *testing.T) {
	var r recent[int, int]
	const count = 5 * halfRecent
	for n := range count {
		r.put(n, n)
	}
	for n := count - halfRecent; n < count; n++ {
		if v, ok := r.get(n); !ok || v != n {
			t.Fatalf("%d is forgotten", n)
		}
	}
	if len(r.now)+len(r.before) > 2*halfRecent {
		t.Errorf("%d entries", len(r.now)+len(r.before))
	}
	r.drop(count - 1)
	if _, ok := r.get(count - 1); ok {
		t.Error("what was dropped is there")
	}
}

// Ends of which nobody tells the other do not add up for ever.
func TestLoneIsBounded(t *testing.T) {
	b := newTestBook()
	for n := range 2 * maxLone {
		port := uint16(n)
		b.Ended(db, told(uint64(n+1), dbAt, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, byte(n >> 16), 1}), port), 1, 1), begin)
	}
	if len(b.lone) > maxLone || len(b.conns) > maxLone {
		t.Errorf("%d connections, %d of them lone", len(b.conns), len(b.lone))
	}
}

// FuzzBook: whatever is told, totals never go down, what is over is part of them, and
// nothing is remembered of what is over for long.
func FuzzBook(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{1, 0, 0, 9, 1, 3, 0, 9, 2, 0, 1, 9})
	f.Fuzz(func(t *testing.T, script []byte) {
		b, now := newTestBook(), begin
		before := map[Key]Flow{}
		for ; len(script) >= 4; script = script[4:] {
			play(b, script, now)
			now = now.Add(time.Duration(script[3]) * time.Millisecond)
			for _, flow := range b.Flows() {
				was := before[flow.Key]
				if flow.Sent < was.Sent || flow.Received < was.Received || flow.Sent < flow.Closed.Sent || flow.Received < flow.Closed.Received || flow.Open < 0 {
					t.Fatalf("from %+v to %+v", was, flow)
				}
				before[flow.Key] = flow
			}
		}
		for range missing + 2 {
			now = now.Add(loneTime)
			sweep(b, now)
		}
		if len(b.conns)+len(b.lone) > 0 {
			t.Errorf("%d connections are remembered, %d lone", len(b.conns), len(b.lone))
		}
	})
}

// play does one of the things that may happen.
func play(b *Book, script []byte, now time.Time) {
	what, which, amount := script[0], script[1], uint64(script[2])
	ends := []struct {
		id    Space
		local sockdiag.Traffic
	}{
		{web, told(1, webAt, dbAt, amount, amount/2)},
		{db, told(2, dbAt, webAt, amount/2, amount+1)},
		{host, told(3, own, api, amount, amount)},
		{host, told(4, api, own, amount, amount)},
		{host, reset0(3, own.Port())},
		{web, reset0(1, webAt.Port())},
		{host, told(5, own, api, amount, 0)},
	}
	end := ends[int(which)%len(ends)]
	switch what % 6 {
	case 0:
		b.Ended(end.id, end.local, now)
	case 1:
		list(b, end.id, now, end.local)
	case 2:
		claimAPI(b, uint64(which%6))
	case 3:
		b.IsOnly(host, Claim{Key{fmt.Sprint(which % 2), api}, api})
	case 4:
		b.Leave(end.id, now)
		b.Enter(end.id, map[Space]string{web: "web-1", db: "db-1"}[end.id], nil)
	case 5:
		b.Swept(now)
	}
}
