package intercept

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/intercept/shim"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/internal/testenv"
)

// port is the declared port of every server here.
const port uint16 = 8080

// way is a way of holding, forced by what is disabled.
type way struct {
	event.Way
	disabled linux.Disabled
}

func parked() way { return way{Way: event.Parked} }
func kept() way   { return way{event.Kept, linux.Disabled{linux.Park, linux.EarlyListen}} }
func early() way  { return way{event.Early, linux.Disabled{linux.Park}} }

// without returns the way on a kernel that lacks more.
func (w way) without(f ...linux.Feature) way {
	w.disabled = append(slices.Clone(w.disabled), f...)
	return w
}

// forWays runs a test once for each way.
func forWays(t *testing.T, ways []way, test func(*testing.T, *lab)) {
	for _, w := range ways {
		t.Run(string(w.Way), func(t *testing.T) { test(t, newLab(t, w)) })
	}
}

func allWays() []way { return []way{parked(), kept(), early()} }

// lab is an Interceptor with the events that it told.
type lab struct {
	*Interceptor
	t     *testing.T
	way   way
	dir   string
	added int

	mayComplain bool
	mu          sync.Mutex
	events      []event.Event
}

func newLab(t *testing.T, w way) *lab {
	t.Helper()
	testenv.Need(t, linux.HasUserNotification() == nil, "seccomp user notification")
	upLoopback(t)
	if w.Way == event.Parked {
		err := CannotPark(w.disabled)
		testenv.Need(t, err == nil, fmt.Sprintf("parking (%v)", err))
	}
	l := &lab{t: t, way: w, dir: t.TempDir()}
	var err error
	l.Interceptor, err = Open(t.Context(), Options{
		Socket: filepath.Join(l.dir, "socket"), Emit: l.emitted, Disabled: w.disabled, HoldTimeout: time.Minute,
		Logger: slog.New(slog.NewTextHandler(complaints{l}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

// complaints fails the test for each line that the Interceptor logs.
type complaints struct{ *lab }

func (c complaints) Write(line []byte) (int, error) {
	if !c.mayComplain {
		c.t.Errorf("logged: %s", line)
	}
	return len(line), nil
}

func (l *lab) emitted(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// instance is one of the lab, and where it is.
type performer struct {
	*actor
	lab      *lab
	name     string
	addr     netip.Addr
	metadata string
	ns       *testenv.NetNS // nil: the tests' own
	program  string         // of the actor, if not its own
	claims   int            // the pid in the state that its shim sends, 0 as shims do
}

// at is the instance's address in words of the actor.
func (p *performer) at(port uint16) string { return fmt.Sprintf("%s %d", p.addr, port) }

// add makes an instance known, as the process runtime does, and changed by set.
func (l *lab) add(name string, set ...func(*Instance)) *performer {
	l.t.Helper()
	l.added++
	in := Instance{
		Instance: registry.Instance{
			Name: name, Service: name, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{127, 77, 0, byte(l.added)})},
			HoldTimeout: time.Minute,
		},
		Rewrite: true, Second: netip.AddrFrom4([4]byte{127, 77, 1, byte(l.added)}),
	}
	for _, s := range set {
		s(&in)
	}
	p := &performer{lab: l, name: name, metadata: l.Add(in)}
	if len(in.Addrs) > 0 {
		p.addr = in.Addrs[0]
	}
	return p
}

// container makes an instance known that has a network namespace with that address
// of its own, or shares it.
func (l *lab) container(name string, ns *testenv.NetNS, addr netip.Prefix, set ...func(*Instance)) *performer {
	l.t.Helper()
	p := l.add(name, append([]func(*Instance){func(in *Instance) {
		in.Addrs, in.Second, in.Rewrite = []netip.Addr{addr.Addr()}, netip.Addr{}, false
	}}, set...)...)
	p.ns = ns
	return p
}

// serves declares the port, and opens an early listener on it where that is the way.
func (l *lab) serves(in *Instance) {
	in.Ports = []uint16{port}
	if l.way.Way == event.Early {
		in.Early = in.Ports
	}
}

// start starts the instance's actor under the shim. It is ended with the test.
func (p *performer) start(set ...func(*seccomp.Filter, *shim.Options)) *performer {
	p.lab.t.Helper()
	p.lab.Started(p.name)
	return p.launch(set...)
}

// session starts another actor of the instance, as an engine does in a container.
func (p *performer) session() *performer {
	p.lab.t.Helper()
	other := *p
	return other.launch()
}

func (p *performer) launch(set ...func(*seccomp.Filter, *shim.Options)) *performer {
	l, t := p.lab, p.lab.t
	t.Helper()
	state, err := seccomp.MarshalState(p.metadata)
	if err != nil {
		t.Fatal(err)
	}
	if p.claims != 0 {
		state = append(fmt.Appendf(nil, `{"pid":%d,`, p.claims), state[1:]...)
	}
	filter := seccomp.Filter{Bind: true}
	dir := t.TempDir()
	o := shim.Options{
		State: filepath.Join(dir, "state"), Socket: filepath.Join(l.dir, "socket"),
		WaitKillable: !l.way.disabled.Has(linux.WaitKillable) && linux.HasWaitKillable(),
	}
	for _, s := range set {
		s(&filter, &o)
	}
	o.Filter = filterFile(t, dir, filter)
	if err := os.WriteFile(o.State, state, 0o600); err != nil {
		t.Fatal(err)
	}
	if p.ns != nil {
		p.ns.Do(t, func() error {
			p.actor = play(t, &o, p.program)
			return nil
		})
	} else {
		p.actor = play(t, &o, p.program)
	}
	t.Cleanup(func() { p.end(0) })
	return p
}

// end kills the actor for good; later calls do nothing.
func (p *performer) end(code int) {
	if p.actor == nil {
		return
	}
	p.kill()
	p.actor = nil
	p.lab.Ended(p.name, code, true)
}

// pair is what most tests need: a client that runs and a server that does not yet.
func (l *lab) pair() (client, server *performer) {
	l.t.Helper()
	server = l.add("server", l.serves)
	return l.add("client").start(), server
}

// all returns the events so far that match.
func (l *lab) all(match func(event.Event) bool) []event.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var es []event.Event
	for _, e := range l.events {
		if match(e) {
			es = append(es, e)
		}
	}
	return es
}

func isBegun(e event.Event) bool { return e.Type == event.HoldBegan }
func isEnded(e event.Event) bool { return e.Type == event.HoldEnded }

// waitHolds waits until n holds have begun, in the lab's way.
func (l *lab) waitHolds(n int) {
	l.t.Helper()
	l.wait(n, "holds began", isBegun)
	for _, e := range l.all(isBegun) {
		if e.Way != l.way.Way {
			l.t.Fatalf("%s, want %s", describe(e), l.way.Way)
		}
	}
}

// waitEnds waits until n holds have ended, and checks how all did.
func (l *lab) waitEnds(n int, end event.End) {
	l.t.Helper()
	l.wait(n, "holds ended", isEnded)
	for _, e := range l.all(isEnded) {
		if e.End != end {
			l.t.Fatalf("%s, want %s", describe(e), end)
		}
	}
}

func (l *lab) wait(n int, what string, match func(event.Event) bool) {
	l.t.Helper()
	testenv.Eventually(l.t, patience, func() error {
		if es := l.all(match); len(es) != n {
			return fmt.Errorf("%d %s, want %d: %s", len(es), what, n, describe(es...))
		}
		return nil
	})
}

// waitParked waits until n SYNs are in the queue.
func (l *lab) waitParked(n int) {
	l.t.Helper()
	if l.way.Way != event.Parked {
		return
	}
	testenv.Eventually(l.t, patience, func() error {
		var got int
		l.do(func() {
			for _, s := range l.spaces {
				got += len(s.parked)
			}
		})
		if got != n {
			return fmt.Errorf("%d SYNs are parked, want %d", got, n)
		}
		return nil
	})
}

func describe(es ...event.Event) string {
	var b strings.Builder
	for _, e := range es {
		fmt.Fprintf(&b, "[%s %d %s->%s:%d %s %s: %s] ", e.Type, e.Hold, e.Instance, e.Target, e.Port, e.Way, e.End, e.Cause)
	}
	return b.String()
}
