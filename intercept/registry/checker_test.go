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
	type counts struct{ waiting, gated int }
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
		if h.gated {
			n.gated++
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
		if e := h.client.edges[h.server]; e == nil || e.holds[h.target] == 0 {
			c.t.Errorf("hold %d is no part of an edge", id)
		}
	}
	if len(c.holds) != len(c.r.holds) || len(c.r.deadlines) != len(c.r.holds) {
		c.t.Errorf("%d holds told, %d in the books, %d deadlines", len(c.holds), len(c.r.holds), len(c.r.deadlines))
	}
	for where, e := range c.r.endpoints {
		if n := at[e]; n.waiting != e.waiting || n.gated != e.gated {
			c.t.Errorf("%v counts %d and %d waiters, has %v", where, e.waiting, e.gated, n)
		}
		queued := e.queued() > 0
		if e.open != c.open[where] || e.open != (e.serving && !queued) {
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
		if len(i.Jobs) > 0 && c.gates[i.Name] != i.gate.open {
			c.t.Errorf("the gate of %s is open: %v, told %v", i.Name, i.gate.open, c.gates[i.Name])
		}
	}
}
