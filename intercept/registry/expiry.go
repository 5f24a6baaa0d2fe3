package registry

import (
	"cmp"
	"container/heap"
	"fmt"
	"strings"
	"time"
)

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
			h.spared = true
			if until := now.Add(Settle); h.deadline.Before(until) {
				h.deadline = until
				heap.Fix(&r.deadlines, h.place)
			}
		}
	}
}

// timeOut lets the client through where the target listens and only does not
// serve: the listener is there.
func (r *Registry) timeOut(now time.Time, h *hold, cause string) {
	r.finish(now, h)
	elapsed := now.Sub(h.began)
	if !h.gated && h.target.isListening() {
		r.emit(Release{h.id, "the hold timeout is over, and it listens", elapsed})
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
	return last
}
