package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"upall/internal/event"
)

// EdgeKey is what tells edges apart.
type EdgeKey struct {
	Client   string
	FromHost bool
	Target   string
	Address  string
	Port     uint16
	Protocol string
}

// Key is what the edge is known by.
func (e Edge) Key() EdgeKey {
	return EdgeKey{e.Client, e.FromHost, e.Target, e.Address, e.Port, e.Protocol}
}

// Compare orders keys as edges are.
func (k EdgeKey) Compare(other EdgeKey) int { return k.edge().Compare(other.edge()) }

func (k EdgeKey) edge() Edge {
	return Edge{Client: k.Client, FromHost: k.FromHost, Target: k.Target, Address: k.Address, Port: k.Port, Protocol: k.Protocol}
}

// Compare orders edges by client, target and port: those from the host and those to
// the outside last.
func (e Edge) Compare(other Edge) int {
	return cmp.Or(
		compareBools(e.FromHost, other.FromHost), cmp.Compare(e.Client, other.Client),
		compareBools(e.Target == "", other.Target == ""), cmp.Compare(e.Target, other.Target),
		cmp.Compare(e.Address, other.Address), cmp.Compare(e.Port, other.Port), cmp.Compare(e.Protocol, other.Protocol),
	)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// Connects are connects that went on at once: nobody tells of each.
type Connects struct {
	Client      string // instance; Host for one from this host
	Service     string // its
	Target      string // service, "" = outside
	Address     string // of what is outside
	Port        uint16
	Count       uint64
	First, Last time.Time
}

// Count adds connects that no event tells of, and returns the edges that have
// changed.
func (t *Tracker) Count(all []Connects) (changed []Edge) {
	for _, c := range all {
		e := Edge{Client: c.Service, FromHost: c.Client == Host, Target: c.Target, Address: c.Address, Port: c.Port, Protocol: tcp}
		if !e.FromHost && find(t.instances, c.Client) == nil {
			continue
		}
		t.see(e, func(e *Edge) { e.add(c.Count, c.First, c.Last) })
		t.connected(c.Client, c.Target, c.Port)
		changed = append(changed, e)
	}
	return t.known(changed)
}

// tcp is the protocol of each connect that is seen.
const tcp = "tcp"

// Changed returns those edges that an event has changed.
func (t *Tracker) Changed(e event.Event) []Edge {
	switch e.Type {
	case event.Connected, event.HoldEnded:
		return t.known([]Edge{edgeOf(e)})
	}
	return nil
}

// known returns the present state of edges.
func (t *Tracker) known(all []Edge) (known []Edge) {
	for _, e := range all {
		if now, ok := t.edges[e.Key()]; ok {
			now.Declared = t.edges[declaredKey(e)].Declared
			known = append(known, now)
		}
	}
	return known
}

// edgeOf is the edge that an event of a connect is about.
func edgeOf(e event.Event) Edge {
	return Edge{Client: e.Service, FromHost: e.Instance == Host, Target: e.Target, Port: e.Port, Protocol: tcp}
}

// connect notes what an event says of a connect between services of the project.
func (t *Tracker) connect(e event.Event) {
	h, wasHeld := t.holds[e.Hold]
	if wasHeld && e.Target == "" {
		e.Target, e.Port = h.Target, h.Port
	}
	edge := edgeOf(e)
	if e.Service == "" || e.Target == "" || !edge.FromHost && find(t.instances, e.Instance) == nil {
		return
	}
	began := e.Time.Add(-e.Elapsed)
	if wasHeld {
		began = h.Since
	}
	t.see(edge, func(edge *Edge) {
		switch e.Type {
		case event.Connected:
			edge.add(uint64(max(0, e.Count)), e.Time, e.Time)
		case event.HoldEnded:
			edge.add(1, began, e.Time)
			edge.end(e, wasHeld)
		}
	})
}

// add counts connects.
func (e *Edge) add(count uint64, first, last time.Time) {
	e.Observed = true
	e.Count += count
	if e.First.IsZero() || first.Before(e.First) {
		e.First = first
	}
	if last.After(e.Last) {
		e.Last = last
	}
}

// end counts the end of a hold, or of a connect that was refused at once.
func (e *Edge) end(of event.Event, wasHeld bool) {
	if wasHeld {
		e.Held++
		e.HeldFor += of.Elapsed
		e.Longest = max(e.Longest, of.Elapsed)
	}
	if of.End == event.Refused || of.End == event.Expired {
		e.Refused++
	}
}

// see changes what is known of an edge.
func (t *Tracker) see(e Edge, change func(*Edge)) {
	known, ok := t.edges[e.Key()]
	if !ok {
		known = e
	}
	change(&known)
	t.edges[e.Key()] = known
}

// declaredKey is of what is declared between the same services, which knows no port.
func declaredKey(e Edge) EdgeKey { return EdgeKey{Client: e.Client, Target: e.Target} }

// Recall takes edges as they were once, where that was later than what is known.
func (t *Tracker) Recall(all []Edge) {
	for _, e := range all {
		if was, known := t.edges[e.Key()]; e.Observed && (!known || was.Count < e.Count) {
			e.Declared = was.Declared
			t.edges[e.Key()] = e
		}
	}
}

// held returns the edges of open holds that nothing else is known of: a hold is
// counted when it ends, for only then it is sure who was to serve it.
func (t *Tracker) held() map[EdgeKey]Edge {
	all := map[EdgeKey]Edge{}
	for _, h := range t.holds {
		e := Edge{Client: h.Service, FromHost: h.Instance == Host, Target: h.Target, Port: h.Port, Protocol: tcp}
		k := e.Key()
		if _, known := t.edges[k]; known || h.Target == "" || !e.FromHost && find(t.instances, h.Instance) == nil {
			continue
		}
		if was, ok := all[k]; ok {
			e = was
		}
		e.add(0, h.Since, h.Since)
		all[k] = e
	}
	return all
}

// sortedEdges joins what was declared with the connects that were seen of it.
func (t *Tracker) sortedEdges() []Edge {
	all := make([]Edge, 0, len(t.edges))
	seen := map[EdgeKey]bool{}
	edges := t.held()
	maps.Copy(edges, t.edges)
	for _, e := range edges {
		if !e.Observed {
			continue
		}
		if !e.FromHost && e.Target != "" {
			seen[declaredKey(e)] = true
			e.Declared = t.edges[declaredKey(e)].Declared
		}
		all = append(all, e)
	}
	for k, e := range t.edges {
		if !e.Observed && e.Declared && !seen[k] {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, Edge.Compare)
	return all
}

func (t *Tracker) sortedHolds() []Hold {
	all := make([]Hold, 0, len(t.holds))
	for _, id := range slices.Sorted(maps.Keys(t.holds)) {
		all = append(all, t.holds[id])
	}
	return all
}

// waits folds holds by what they wait for, the longest first.
func waits(holds map[uint64]Hold) []Wait {
	type target struct {
		service string
		port    uint16
	}
	type fold struct {
		oldest Hold
		count  int
	}
	folded := map[target]*fold{}
	for _, h := range holds {
		k := target{h.Target, h.Port}
		f := folded[k]
		if f == nil {
			f = &fold{oldest: h}
			folded[k] = f
		}
		f.count++
		if cmp.Or(h.Since.Compare(f.oldest.Since), cmp.Compare(h.ID, f.oldest.ID)) < 0 {
			f.oldest = h
		}
	}
	var all []Wait
	for _, f := range folded {
		h := f.oldest
		all = append(all, Wait{Target: h.Target, Port: h.Port, Since: h.Since, Cause: h.Cause, Way: h.Way, Count: f.count})
	}
	slices.SortFunc(all, func(a, b Wait) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port))
	})
	return all
}

func (w Wait) String() string { return fmt.Sprintf("%s:%d", w.Target, w.Port) }
