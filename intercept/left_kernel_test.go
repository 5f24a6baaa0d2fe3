package intercept

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"upall/internal/event"
	"upall/internal/testenv"
)

// couple is a client and a server of which the client waits.
func (l *lives) couple(w way) (client, server *actor, inServer described) {
	l.t.Helper()
	inServer = l.process("server", w)
	client = l.run(l.process("client", w), nil, "")
	return client, l.run(inServer, nil, ""), inServer
}

// killThen kills the interceptor, and does something before the next life.
func (l *lives) killThen(do func()) {
	l.t.Helper()
	l.mu.Lock()
	l.between = do
	l.mu.Unlock()
	l.kill()
}

func (l *lives) count(match func(event.Event) bool) (es []event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if match(e) {
			es = append(es, e)
		}
	}
	return es
}

func (l *lives) waitFor(n int, what string, match func(event.Event) bool) []event.Event {
	l.t.Helper()
	testenv.Eventually(l.t, patience, func() error {
		if es := l.count(match); len(es) != n {
			return fmt.Errorf("%d %s, want %d: %s", len(es), what, n, describe(es...))
		}
		return nil
	})
	return l.count(match)
}

// waitDropped waits until the entry is kept no more.
func (l *lives) waitDropped(name string) {
	l.t.Helper()
	testenv.Eventually(l.t, patience, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if slices.ContainsFunc(l.entries, func(e Kept) bool { return e.Name == name }) {
			return fmt.Errorf("%s is kept", name)
		}
		return nil
	})
}

// leave ends all that runs.
func (l *lives) leave(actors ...*actor) {
	l.t.Helper()
	for _, a := range actors {
		a.kill()
	}
	for _, o := range l.added {
		l.tell(order{Do: "ended", Name: o.Instance.Name, Final: true})
	}
}

// TestKernelKilledListenerCloses: a listener that was closed while there was no
// interceptor is not believed to be there.
func TestKernelKilledListenerCloses(t *testing.T) {
	for _, w := range allWays() {
		t.Run(string(w.Way), func(t *testing.T) {
			l := newLives(t, w)
			client, server, in := l.couple(w)
			listener := server.listener("0.0.0.0", port)
			client.must("connect %d %s %d", client.tcp(), in.Addrs[0], port)
			l.killThen(func() { server.must("close %d", listener) })
			called := client.begin("t", "connect %d %s %d", client.tcp(), in.Addrs[0], port)
			l.waitFor(1, "holds began", isBegun)
			server.listener("0.0.0.0", port)
			client.want(called, "ok")
			l.waitFor(1, "holds ended", isEnded)
			l.leave(client, server)
		})
	}
}

// TestKernelKilledLedgerLost: the kernel tells who listens.
func TestKernelKilledLedgerLost(t *testing.T) {
	for _, w := range allWays() {
		t.Run(string(w.Way), func(t *testing.T) {
			l := newLives(t, w)
			client, server, in := l.couple(w)
			server.listener("0.0.0.0", port)
			l.waitDropped(earlyName(netip.AddrPortFrom(in.Addrs[0], port)))
			l.killThen(func() {
				pages, err := filepath.Glob(filepath.Join(l.options.Ledger, "*"))
				if err != nil || len(pages) != 2 {
					t.Errorf("the ledger has %v, %v", pages, err)
				}
				for _, p := range pages {
					if err := os.Remove(p); err != nil {
						t.Error(err)
					}
				}
			})
			client.must("connect %d %s %d", client.tcp(), in.Addrs[0], port)
			l.waitFor(0, "holds began", isBegun)
			l.leave(client, server)
		})
	}
}

// TestKernelKilledClientDies: a hold whose client died while there was no
// interceptor ends once, and is told so.
func TestKernelKilledClientDies(t *testing.T) {
	for _, w := range allWays() {
		t.Run(string(w.Way), func(t *testing.T) {
			l := newLives(t, w)
			client, server, in := l.couple(w)
			client.begin("-", "connect %d %s %d", client.number("socket 4 stream 0 nonblock"), in.Addrs[0], port)
			l.waitFor(1, "holds began", isBegun)
			l.killThen(client.kill)
			if e := l.waitFor(1, "holds ended", isEnded)[0]; e.End != event.Canceled || e.Instance != "client" {
				t.Errorf("%s", describe(e))
			}
			l.leave(client, server)
		})
	}
}

// TestKernelKilledHoldExpires: the hold timeout counts from the hold's begin, in
// whichever life that was.
func TestKernelKilledHoldExpires(t *testing.T) {
	for _, w := range allWays() {
		t.Run(string(w.Way), func(t *testing.T) {
			const timeout = time.Second
			l := newLives(t, w)
			l.holdTimeout = timeout
			client, server, in := l.couple(w)
			fd := client.number("socket 4 stream 0 nonblock")
			called := client.begin("t", "connect %d %s %d", fd, in.Addrs[0], port)
			began := l.waitFor(1, "holds began", isBegun)[0]
			l.kill()
			l.kill()
			ended := l.waitFor(1, "holds ended", isEnded)[0]
			if ended.End == event.Canceled || ended.Elapsed < timeout || ended.Time.Sub(began.Time) < timeout {
				t.Errorf("%s after %v, %v", describe(ended), ended.Elapsed, ended.Time.Sub(began.Time))
			}
			if got := client.answer(called); got != "EINPROGRESS" && got != "ECONNREFUSED" && got != "ok" {
				t.Errorf("connect: %s", got)
			}
			if w.Way != event.Kept { // there the answer is all
				if got := client.do("poll %d out", fd); got != "ECONNREFUSED" && got != "ECONNRESET" {
					t.Errorf("poll: %s", got)
				}
			}
			l.leave(client, server)
		})
	}
}

// TestKernelKilledCrowd: many holds are gone on with, and released at the pace of
// the accept queue, also if the interceptor is killed meanwhile.
func TestKernelKilledCrowd(t *testing.T) {
	const crowd = 1000
	for _, w := range []way{parked(), early()} {
		t.Run(string(w.Way), func(t *testing.T) {
			l := newLives(t, w)
			client, server, in := l.couple(w)
			called := client.begin("-", "crowd nonblock %d %s %d", crowd, in.Addrs[0], port)
			l.waitFor(crowd, "holds began", isBegun)
			t.Logf("from the kill to Resume: %v", l.kill())
			listener := server.tcp()
			server.must("bind %d 0.0.0.0 %d", listener, port)
			server.must("listen %d 64", listener)
			served := server.begin("-", "serve %d %d 100", listener, crowd)
			l.kill()
			client.want(called, fmt.Sprintf("%d ok", crowd))
			server.want(served, strconv.Itoa(crowd))
			ends := map[uint64]bool{}
			for _, e := range l.count(isEnded) {
				if ends[e.Hold] = true; e.End != event.Released {
					t.Errorf("%s", describe(e))
				}
			}
			if len(ends) != crowd {
				t.Errorf("%d holds ended", len(ends))
			}
			l.leave(client, server)
		})
	}
}
