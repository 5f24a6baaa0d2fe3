package registry

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// checker steps a Registry and holds it to its promises. It keeps the books that
// a caller keeps, from the outputs alone.
type checker struct {
	t      testing.TB
	r      *Registry
	asked  uint64 // the Connect of this step, 0 for none
	holds  map[uint64]Hold
	ended  map[uint64]bool
	open   map[netip.AddrPort]bool
	drains map[netip.AddrPort]bool
	gates  map[string]bool // open
}

func newChecker(t testing.TB, r *Registry) *checker {
	return &checker{
		t: t, r: r, holds: map[uint64]Hold{}, ended: map[uint64]bool{},
		open: map[netip.AddrPort]bool{}, drains: map[netip.AddrPort]bool{}, gates: map[string]bool{},
	}
}

// add describes an instance. The gate of one without jobs is open from the start.
func (c *checker) add(i Instance) {
	if c.r.instances[i.Name] == nil {
		c.gates[i.Name] = len(i.Jobs()) == 0
	}
	c.r.Add(i)
}

func (c *checker) step(now time.Time, in Input) []Output {
	c.t.Helper()
	c.asked = 0
	if in, ok := in.(Connect); ok {
		c.asked = in.ID
	}
	before := len(c.holds)
	out := slices.Clone(c.r.Step(now, in))
	for n, o := range out {
		c.note(o, out[:n])
	}
	if c.asked != 0 {
		c.t.Errorf("connect %d got no verdict", c.asked)
	}
	if in, ok := in.(Take); ok && in.Max > 0 && len(c.holds) == before {
		delete(c.drains, in.At)
	}
	c.books()
	if next, ok := c.r.Next(); ok && !next.After(now) {
		c.t.Errorf("after a step at %v Next wants a tick at %v", now.Sub(epoch), next.Sub(epoch))
	}
	return out
}

func (c *checker) note(o Output, before []Output) {
	switch o := o.(type) {
	case Pass:
		c.verdict(o.ID)
	case Hold:
		c.verdict(o.ID)
		c.holds[o.ID] = o
	case Refuse:
		if o.ID == c.asked {
			c.verdict(o.ID)
		} else {
			c.end(o.ID)
		}
	case Release:
		c.end(o.ID)
	case Expire:
		c.end(o.ID)
	case Canceled:
		c.end(o.ID)
	case Drain:
		if slices.Contains(before, Output(Open(o))) {
			c.t.Errorf("drain %v after its open in one step", o.At)
		}
		c.drains[o.At] = true
	case Open:
		if c.open[o.At] {
			c.t.Errorf("open %v twice", o.At)
		}
		c.open[o.At] = true
		delete(c.drains, o.At)
	case Shut:
		if !c.open[o.At] {
			c.t.Errorf("shut %v, which is not open", o.At)
		}
		delete(c.open, o.At)
	case Gate:
		c.gates[o.Instance] = o.Open
	}
}

func (c *checker) verdict(id uint64) {
	if id != c.asked {
		c.t.Errorf("a verdict on %d, which was not asked for or has one", id)
	}
	c.asked = 0
}

func (c *checker) end(id uint64) {
	if _, held := c.holds[id]; !held || c.ended[id] {
		c.t.Errorf("an end of %d, which is not held", id)
	}
	delete(c.holds, id)
	c.ended[id] = true
}

// books compares the Registry's counts with what is there, and with what it has
// told.
func (c *checker) books() {
	type counts struct{ waiting, barred int }
	at := map[*endpoint]counts{}
	missed, gated := map[*instance]int{}, map[*instance]int{}
	for id, h := range c.r.holds {
		if _, held := c.holds[id]; !held {
			c.t.Errorf("hold %d is in the books, but has ended", id)
		}
		n := at[h.target]
		n.waiting++
		if !h.target.isListening() && h.server != nil {
			missed[h.server]++
		}
		if h.isBarred() {
			n.barred++
		}
		if h.gated {
			gated[h.client]++
		}
		at[h.target] = n
		if h.gated != (!h.client.gate.open && h.client != h.server) {
			c.t.Errorf("hold %d and the gate of %s differ", id, h.client.Name)
		}
		if h.server != nil && (h.server.phase == exited || c.r.instances[h.server.Name] != h.server) {
			c.t.Errorf("hold %d waits for %s, which is gone", id, h.server.Name)
		}
		if c.r.endpoints[h.target.at] != h.target || h.target.isListening() && h.server != h.target.listener {
			c.t.Errorf("hold %d waits at %v, which is not as it says", id, h.target.at)
		}
		c.barriers(h)
		if e := h.client.edges[h.server]; e == nil || e.holds[h.target] == 0 {
			c.t.Errorf("hold %d is no part of an edge", id)
		}
	}
	if len(c.holds) != len(c.r.holds) {
		c.t.Errorf("%d holds told, %d in the books", len(c.holds), len(c.r.holds))
	}
	for place, h := range c.r.deadlines {
		if h.ended || h.place != place {
			c.t.Errorf("the deadline of hold %d is at %d, ended %v, place %d", h.id, place, h.ended, h.place)
		}
	}
	for where, e := range c.r.endpoints {
		if n := at[e]; n.waiting != e.waiting || n.barred != e.barred {
			c.t.Errorf("%v counts %d and %d waiters, has %v", where, e.waiting, e.barred, n)
		}
		queued := e.queued() > 0
		if e.open != c.open[where] || e.open != (e.serving && !queued && isHealthy(e.listener)) {
			c.t.Errorf("%v: open %v, told %v, serving %v, queued %v", where, e.open, c.open[where], e.serving, queued)
		}
		if e.serving && queued && !c.drains[where] {
			c.t.Errorf("%v serves and has waiters that nobody drains", where)
		}
	}
	for where := range c.open {
		if c.r.endpoints[where] == nil {
			c.t.Errorf("%v is open, but forgotten", where)
		}
	}
	for _, i := range c.r.order {
		for id, h := range i.holds {
			if c.r.holds[id] != h || h.client != i {
				c.t.Errorf("%s has the hold %d, which is not its", i.Name, id)
			}
		}
		if i.missed != missed[i] || i.gated != gated[i] {
			c.t.Errorf("%s counts %d and %d, is missed by %d and has %d gated", i.Name, i.missed, i.gated, missed[i], gated[i])
		}
		if c.gates[i.Name] != i.gate.open {
			c.t.Errorf("the gate of %s is open: %v, told %v", i.Name, i.gate.open, c.gates[i.Name])
		}
	}
}

// barriers holds a hold to what is in its way, as the descriptions say it.
func (c *checker) barriers(h *hold) {
	s := h.server
	declares, requires := false, false
	for _, r := range h.client.Requires {
		if s != nil && r.Service == s.Service && r.Condition == ServiceHealthy {
			declares, requires = true, requires || r.Required
		}
	}
	others := s != nil && s != h.client && !isHealthy(s)
	if others && s.health == Unhealthy && requires {
		c.t.Errorf("hold %d waits for %s, which its client requires to be healthy and is not", h.id, s.Name)
	}
	waits := others && s.health == Unknown && s.excused[h.client.Name] == ""
	if h.sick != waits {
		c.t.Errorf("hold %d waits for the health of its server: %v, want %v", h.id, h.sick, waits)
	}
	if at, ok := c.r.deadlineOf(h); ok != (h.place >= 0) || !at.Equal(h.deadline) {
		c.t.Errorf("hold %d has the deadline %v, place %d, want %v, %v", h.id, h.deadline, h.place, at, ok)
	}
	if s != nil && (h.place < 0) != (h.gated || (waits && declares)) {
		c.t.Errorf("hold %d has no deadline: %v; gated %v, health awaited %v, declared %v", h.id, h.place < 0, h.gated, waits, declares)
	}
}

func isHealthy(i *instance) bool { return !i.HasHealth || i.health == Healthy }
