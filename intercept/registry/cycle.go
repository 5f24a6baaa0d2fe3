package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// cyclePersists is how long services must have waited for each other before it
// is told: a service may connect in one thread and listen in another.
const cyclePersists = 2 * time.Second

// edge counts the holds of a client on each endpoint of a server.
type edge struct {
	began time.Time // of its first hold
	holds map[*endpoint]int
}

// join adds the hold to its client's edge. The edge to nil, one of several, is in
// no cycle: any of them may end the hold.
func (h *hold) join() {
	e := h.client.edges[h.server]
	if e == nil {
		e = &edge{began: h.began, holds: map[*endpoint]int{}}
		h.client.edges[h.server] = e
	}
	e.holds[h.target]++
}

func (h *hold) leave() {
	e := h.client.edges[h.server]
	if e.holds[h.target]--; e.holds[h.target] == 0 {
		delete(e.holds, h.target)
	}
	if len(e.holds) == 0 {
		delete(h.client.edges, h.server)
	}
}

// needsListen tells whether a hold of the edge waits for more than a listener's
// queue or serve probe, which no cycle can keep from ending.
func (e *edge) needsListen() bool {
	for at := range e.holds {
		if !at.isListening() {
			return true
		}
	}
	return false
}

func (h *hold) needsListen() bool { return !h.target.isListening() && h.client != h.server }

// healthWaits tells since when holds of the edge wait for nothing but the server's
// health, if any do. The server's healthcheck may be what another hold keeps from
// succeeding.
func (e *edge) healthWaits(client, server *instance) (since time.Time, ok bool) {
	if !client.gate.open || !client.awaitsHealth(server) {
		return time.Time{}, false
	}
	for at := range e.holds {
		if t := later(e.began, at.served); at.serving && (!ok || t.Before(since)) {
			since, ok = t, true
		}
	}
	return since, ok
}

// wait is that client cannot go on before server has done something: listen, or,
// with gate, end as a job, or, with health, become healthy.
type wait struct {
	client, server *instance
	gate, health   bool
	began          time.Time
}

// includes tells whether the hold is one that makes the wait.
func (w wait) includes(h *hold) bool {
	if w.gate {
		return h.client == w.client && h.gated
	}
	if h.client != w.client || h.server != w.server {
		return false
	}
	return w.health && h.waitsForHealth() || !w.health && h.needsListen()
}

// waits returns what i waits for, by the server's name.
func (r *Registry) waits(i *instance) []wait {
	var ws []wait
	for server, e := range i.edges {
		if server == nil || server == i {
			continue
		}
		if e.needsListen() {
			ws = append(ws, wait{client: i, server: server, began: e.began})
		}
		if since, ok := e.healthWaits(i, server); ok {
			ws = append(ws, wait{client: i, server: server, health: true, began: since})
		}
	}
	if i.gated > 0 {
		for _, job := range r.order {
			if _, waits := i.requirement(job.Service, ServiceCompleted); waits && job != i && job.phase != exited {
				ws = append(ws, wait{client: i, server: job, gate: true, began: i.gatedSince})
			}
		}
	}
	slices.SortFunc(ws, func(a, b wait) int {
		return cmp.Or(byName(a.server, b.server), a.began.Compare(b.began))
	})
	return ws
}

// path returns a shortest chain of waits from one instance to another, or back
// to itself, nil if there is none.
func path(waits func(*instance) []wait, from, to *instance) []wait {
	via := map[*instance]wait{}
	for next := []*instance{from}; len(next) > 0; next = next[1:] {
		for _, w := range waits(next[0]) {
			if _, seen := via[w.server]; seen {
				continue
			}
			via[w.server] = w
			if w.server == to {
				return traceBack(via, from, to)
			}
			next = append(next, w.server)
		}
	}
	return nil
}

func traceBack(via map[*instance]wait, from, to *instance) []wait {
	path := []wait{via[to]}
	for path[len(path)-1].client != from {
		path = append(path, via[path[len(path)-1].client])
	}
	slices.Reverse(path)
	return path
}

// cycleOf returns a cycle that the hold is part of, nil if there is none. The
// waits in lone are known to be in none; those that are found so are added.
func (r *Registry) cycleOf(h *hold, lone map[wait]bool) []wait {
	if !h.gated && !h.needsListen() {
		return nil
	}
	for _, w := range r.waits(h.client) {
		if !w.includes(h) || lone[w] {
			continue
		}
		if rest := path(r.waits, w.server, w.client); rest != nil {
			return append([]wait{w}, rest...)
		}
		lone[w] = true
	}
	return nil
}

// knot returns the waits whose chains never come to an end: those of cycles, and
// of who waits for a member of one. Most often there are none.
func (r *Registry) knot() map[*instance][]wait {
	knot := map[*instance][]wait{}
	for _, i := range r.order {
		if ws := r.waits(i); len(ws) > 0 {
			knot[i] = ws
		}
	}
	endsAt := func(w wait) bool { return len(knot[w.server]) == 0 }
	for before := -1; before != len(knot); {
		before = len(knot)
		for _, i := range r.order {
			if knot[i] = slices.DeleteFunc(knot[i], endsAt); len(knot[i]) == 0 {
				delete(knot, i)
			}
		}
	}
	return knot
}

// watchCycles has the registry look for cycles when a new one would have
// persisted.
func (r *Registry) watchCycles(now time.Time) {
	if r.cycleAt.IsZero() {
		r.cycleAt = now.Add(cyclePersists)
	}
}

// findCycles tells each cycle that has persisted, once.
func (r *Registry) findCycles(now time.Time) {
	if r.cycleAt.IsZero() || r.cycleAt.After(now) {
		return
	}
	r.cycleAt = time.Time{}
	for r.excuseOne(now) {
	}
	knot := r.knot()
	for _, i := range r.order {
		cycle := path(func(i *instance) []wait { return knot[i] }, i, i)
		if cycle != nil && r.persists(now, cycle) {
			r.tellCycle(cycle, false)
		}
	}
}

// persists tells whether the cycle is old enough; if not, it is looked at again
// when it is.
func (r *Registry) persists(now time.Time, cycle []wait) bool {
	at := youngest(cycle).began.Add(cyclePersists)
	if !at.After(now) {
		return true
	}
	if r.cycleAt.IsZero() || at.Before(r.cycleAt) {
		r.cycleAt = at
	}
	return false
}

func (r *Registry) tellCycle(cycle []wait, ended bool) {
	names := members(cycle)
	if key := strings.Join(names, " "); !r.cycles[key] {
		r.cycles[key] = true
		r.emit(Cycle{names, ended})
	}
}

// excuseOne ends a cycle of which a member waits for health alone: it is let
// through, as are its later connects to that run of the server. It tells whether
// there was one.
func (r *Registry) excuseOne(now time.Time) bool {
	knot := r.knot()
	waits := func(i *instance) []wait { return knot[i] }
	for _, i := range r.order {
		for _, w := range knot[i] {
			if !w.health {
				continue
			}
			rest := path(waits, w.server, i)
			if rest == nil {
				continue
			}
			if cycle := append([]wait{w}, rest...); r.persists(now, cycle) {
				r.excuse(now, cycle)
				return true
			}
		}
	}
	return false
}

// excuse lets the youngest that waits for health alone through.
func (r *Registry) excuse(now time.Time, cycle []wait) {
	w := youngest(slices.DeleteFunc(slices.Clone(cycle), func(w wait) bool { return !w.health }))
	r.tellCycle(cycle, true)
	if w.server.excused == nil {
		w.server.excused = map[string]string{}
	}
	w.server.excused[w.client.Name] = fmt.Sprintf("cycle of %s: %s listens but is not healthy yet",
		strings.Join(members(cycle), ", "), w.server.Service)
	for _, h := range matching(w.client.holds, func(h *hold) bool { return h.server == w.server }) {
		r.recheck(now, h)
		r.publish(h.target)
	}
}

// members returns the services of a cycle in the order in which they wait, the
// first by name first.
func members(cycle []wait) []string {
	var names []string
	for _, w := range cycle {
		names = append(names, w.client.Service)
	}
	first := slices.Index(names, slices.Min(names))
	return slices.Concat(names[first:], names[:first])
}

func youngest(cycle []wait) wait {
	return slices.MaxFunc(cycle, func(a, b wait) int {
		return cmp.Or(a.began.Compare(b.began), byName(a.client, b.client))
	})
}
