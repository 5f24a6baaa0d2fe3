package registry

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"strings"
	"time"
)

// deadlineOf tells when the hold times out; ok is false where it does not, because
// something that its client has declared is open and may still come true. Compose
// waits without limit there, as a migration may take long. When it has come true
// the hold timeout begins.
func (r *Registry) deadlineOf(h *hold) (at time.Time, ok bool) {
	if h.gated || r.mayBecomeHealthy(h) {
		return time.Time{}, false
	}
	since := h.began
	if h.server != h.client {
		since = later(since, h.client.gate.opened)
	}
	if h.server != nil {
		if _, declared := h.client.requirement(h.server.Service, ServiceHealthy); declared {
			since = later(since, h.server.healthyAt)
		}
	}
	return later(since.Add(h.client.HoldTimeout), h.grace), true
}

// mayBecomeHealthy tells whether the client has declared that it waits for the
// health of who is to serve the hold, and it may still come.
func (r *Registry) mayBecomeHealthy(h *hold) bool {
	if h.server != nil {
		return h.server.mayBecomeHealthyFor(h.client)
	}
	return slices.ContainsFunc(r.prospects(h.client, h.target.at), func(m *instance) bool {
		return m.mayBecomeHealthyFor(h.client)
	})
}

// rearm sets the hold's deadline.
func (r *Registry) rearm(h *hold) {
	at, ok := r.deadlineOf(h)
	h.deadline = at
	switch {
	case ok && h.place < 0:
		heap.Push(&r.deadlines, h)
	case ok:
		heap.Fix(&r.deadlines, h.place)
	case h.place >= 0:
		heap.Remove(&r.deadlines, h.place)
	}
}

// expire ends the holds whose time is over. Of a cycle the youngest edge goes
// first, so that an application's own retry can work; the others get Settle
// more, once.
func (r *Registry) expire(now time.Time) {
	lone := map[wait]bool{} // waits known to be in no cycle: ending holds makes none
	for len(r.deadlines) > 0 && !r.deadlines[0].deadline.After(now) {
		h := r.deadlines[0]
		if cycle := r.cycleOf(h, lone); cycle != nil && !h.spared {
			r.breakCycle(now, cycle)
			continue
		}
		r.timeOut(now, h, fmt.Sprintf("hold timeout of %v: %s", h.client.HoldTimeout, r.cause(h)))
	}
}

// breakCycle ends the holds of the cycle's youngest wait and spares the others.
func (r *Registry) breakCycle(now time.Time, cycle []wait) {
	victim := youngest(cycle)
	for _, h := range matching(victim.client.holds, victim.includes) {
		r.timeOut(now, h, fmt.Sprintf("cycle of %s: %s", strings.Join(members(cycle), ", "), r.cause(h)))
	}
	for _, w := range cycle {
		for _, h := range matching(w.client.holds, w.includes) {
			if h.spared {
				continue
			}
			h.spared, h.grace = true, now.Add(Settle)
			r.rearm(h)
		}
	}
}

// timeOut lets the client through where the target listens and only does not
// serve, or is not healthy: the listener is there.
func (r *Registry) timeOut(now time.Time, h *hold, cause string) {
	server := h.target.listener
	passes := !h.gated && server != nil
	r.finish(now, h)
	elapsed := now.Sub(h.began)
	if passes {
		r.emit(Release{h.id, cause, elapsed})
		if h.sick || !h.target.serving {
			r.warn(h.client, server, cause)
		}
	} else {
		r.emit(Expire{h.id, cause, elapsed})
	}
	r.publish(h.target)
}

// deadlines is a heap of the holds, by their deadlines and then their age.
type deadlines []*hold

// The methods of heap.Interface.

func (d deadlines) Len() int { return len(d) }

func (d deadlines) Less(i, j int) bool {
	return cmp.Or(d[i].deadline.Compare(d[j].deadline), cmp.Compare(d[i].id, d[j].id)) < 0
}

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push is for package heap.
func (d *deadlines) Push(x any) {
	h := x.(*hold)
	h.place = len(*d)
	*d = append(*d, h)
}

// Pop is for package heap.
func (d *deadlines) Pop() any {
	old := *d
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	last.place = -1
	return last
}
