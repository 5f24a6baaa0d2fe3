// Package registry decides: who listens where, who waits for it, and what
// happens to a connect.
//
// Use: New, Add the instances, then feed Step with what happens; it returns what
// is to be done. Next tells when Step wants a Tick.
// Ownership: a Registry belongs to one goroutine. It does no I/O, reads no
// clock, and holds no file descriptor.
// Promises: every Connect gets exactly one of Pass, Hold and Refuse; every Hold
// gets exactly one later Release, Refuse, Expire or Canceled. The same inputs
// give the same outputs in the same order.
// Tests: inputs in, lines of text out, in testdata; FuzzRegistry keeps the
// promises; docs/gates.md is checked cell by cell.
package registry

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Settle is how long after its newest listener an instance without declared
// ports is taken to have opened all it will.
const Settle = 5 * time.Second

type phase int

const (
	created phase = iota // not started yet
	running
	restarting
	exited // for good
)

type instance struct {
	Instance
	phase       phase
	code        int
	started     time.Time
	ready       bool
	settled     bool
	settledTold bool
	reopened    time.Time             // when a listener was found closed
	newest      time.Time             // of its listeners
	heldUntil   time.Time             // when the last hold of it on another ended
	listeners   map[listener]struct{} // as they were told
	missed      int                   // how many wait for it to listen
	capped      bool                  // settled by the hold timeout alone

	health    HealthState
	healthyAt time.Time
	excused   map[string]string // clients that need not wait for its health: why

	gate       gate
	holds      map[uint64]*hold    // as the client
	edges      map[*instance]*edge // as the client, by server; nil: one of several
	gated      int                 // of its holds, how many wait for the gate
	gatedSince time.Time           // since when gated is not 0
}

// endpoint is a TCP port of an address while it listens or is waited for.
type endpoint struct {
	at       netip.AddrPort
	listener *instance // who listens there, nil for nobody
	serving  bool      // listening, and past its serve probe
	served   time.Time // since when
	open     bool      // serving, healthy, and nobody queues: told with Open
	told     int       // by which output of the step toldIn, counted from 1, 0 for none
	toldIn   int
	waiters  []*hold // oldest first; ended ones are skipped
	waiting  int     // of those, how many have not ended
	barred   int     // of those again, how many wait for a gate or for health
}

func (e *endpoint) isListening() bool { return e.listener != nil }

type hold struct {
	id       uint64
	client   *instance
	server   *instance // whom it waits for; nil while it may be one of several
	target   *endpoint
	began    time.Time
	deadline time.Time
	place    int       // in the heap of deadlines, -1 without a deadline
	grace    time.Time // no deadline before
	gated    bool      // the client's gate is closed
	sick     bool      // the server is not known to be healthy
	spared   bool      // its cycle's youngest edge was ended in its place
	ended    bool
}

// Registry is the state machine. Make one with New.
type Registry struct {
	instances map[string]*instance
	order     []*instance                // by name
	byAddr    map[netip.Addr][]*instance // its members, by name
	endpoints map[netip.AddrPort]*endpoint
	holds     map[uint64]*hold
	deadlines deadlines       // of the holds that have one
	cycleAt   time.Time       // when to look for cycles, zero for never
	cycles    map[string]bool // those told
	described []*instance     // anew, by Add, since the last Step
	stepped   time.Time       // the last Step
	steps     int             // how many there were
	out       []Output
}

// New returns an empty Registry.
func New() *Registry {
	return &Registry{
		instances: map[string]*instance{},
		byAddr:    map[netip.Addr][]*instance{},
		endpoints: map[netip.AddrPort]*endpoint{},
		holds:     map[uint64]*hold{},
		cycles:    map[string]bool{},
	}
}

func byName(a, b *instance) int { return strings.Compare(a.Name, b.Name) }

// Step takes one input that happened at now and returns what is to be done, in
// order. The slice is valid until the next Step. A Connect of an unknown client
// passes; other inputs that name unknown instances or holds are ignored.
func (r *Registry) Step(now time.Time, in Input) []Output {
	clear(r.out)
	r.out, r.stepped, r.steps = r.out[:0], now, r.steps+1
	r.revise(now)
	switch in := in.(type) {
	case Started:
		r.start(now, in)
	case Ended:
		r.end(now, in)
	case Listened:
		r.listen(now, in)
	case Removed:
		r.remove(now, in)
	case Unlistened:
		r.unlisten(now, in.At)
	case Served:
		r.serve(now, in.At)
	case Health:
		r.noteHealth(now, in)
	case Connect:
		r.connect(now, in)
	case Gone:
		if h := r.holds[in.ID]; h != nil {
			r.cancel(now, h)
			r.publish(h.target)
		}
	case Take:
		r.take(now, in)
	case Tick:
	}
	r.settle(now)
	r.expire(now)
	r.findCycles(now)
	r.tellSettled()
	r.out = slices.DeleteFunc(r.out, func(o Output) bool { return o == nil })
	return r.out
}

// Next tells when Step wants a Tick: after an Add that changes something, at
// once; ok is false when only an input can change anything.
func (r *Registry) Next() (at time.Time, ok bool) {
	if len(r.described) > 0 {
		return r.stepped, true
	}
	earlier := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if len(r.deadlines) > 0 {
		earlier(r.deadlines[0].deadline)
	}
	if !r.cycleAt.IsZero() {
		earlier(r.cycleAt)
	}
	for _, i := range r.order {
		if t, waits := i.settlesAt(); waits {
			earlier(t)
		}
	}
	return at, ok
}

// Waiting returns how many connects of the instance wait, and how many wait
// for it.
func (r *Registry) Waiting(name string) (holds, held int) {
	i := r.instances[name]
	if i == nil {
		return 0, 0
	}
	for _, h := range r.holds {
		if h.server == i {
			held++
		}
	}
	return len(i.holds), held
}

// Listens tells whether an instance is known to listen at the endpoint.
func (r *Registry) Listens(at netip.AddrPort) bool {
	e := r.endpoints[at]
	return e != nil && e.isListening()
}

func (r *Registry) emit(o Output) { r.out = append(r.out, o) }

// matching returns the holds that match, oldest first.
func matching(holds map[uint64]*hold, match func(*hold) bool) []*hold {
	var hs []*hold
	for _, h := range holds {
		if match(h) {
			hs = append(hs, h)
		}
	}
	slices.SortFunc(hs, func(a, b *hold) int {
		return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.id, b.id))
	})
	return hs
}
