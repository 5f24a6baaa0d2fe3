package registry

import (
	"container/heap"
	"fmt"
	"net/netip"
	"time"
)

func (r *Registry) endpoint(at netip.AddrPort) *endpoint {
	e := r.endpoints[at]
	if e == nil {
		e = &endpoint{at: at, owner: r.byAddr[at.Addr()]}
		r.endpoints[at] = e
	}
	return e
}

// queued returns how many wait for nothing but the endpoint.
func (e *endpoint) queued() int { return e.waiting - e.gated }

func (r *Registry) connect(now time.Time, in Connect) {
	client, server := r.instances[in.Client], r.byAddr[in.Target.Addr()]
	if client == nil || server == nil || client.NoHold || (client == server && !client.HoldSelf) {
		r.emit(Pass{in.ID})
		return
	}
	// A gate is a condition on what others have done, not on the client itself.
	gated := !client.gate.open && client != server
	if gated && client.gate.failed {
		r.emit(Refuse{ID: in.ID, Cause: client.gate.cause})
		return
	}
	known := r.endpoints[in.Target]
	if known == nil || !known.listening {
		if cause, lost := server.isLost(in.Target); lost {
			r.emit(Refuse{ID: in.ID, Cause: cause})
			return
		}
	}
	if !gated && known != nil && known.open {
		r.emit(Pass{in.ID})
		return
	}
	r.hold(now, &hold{
		id: in.ID, client: client, target: r.endpoint(in.Target), gated: gated,
		began: now, deadline: now.Add(client.HoldTimeout),
	})
}

// isLost tells whether at, which does not listen, is not to be waited for.
func (i *instance) isLost(at netip.AddrPort) (cause string, lost bool) {
	switch {
	case i.phase == exited:
		return i.exitCause(), true
	case i.settled && i.phase == running:
		return i.portCause(at), true
	}
	return "", false
}

// cause says what the hold waits for.
func (h *hold) cause() string {
	e := h.target
	switch name := fmt.Sprintf("%s:%d", e.owner.Service, e.at.Port()); {
	case h.gated:
		return h.client.gate.cause
	case e.owner.phase == created:
		return e.owner.Service + " has not started"
	case e.owner.phase == restarting:
		return e.owner.Service + " restarts"
	case !e.listening:
		return name + " does not listen yet"
	case !e.serving:
		return name + " listens but does not serve yet"
	default:
		return name + " has others waiting before"
	}
}

func (r *Registry) hold(now time.Time, h *hold) {
	e := h.target
	r.emit(Hold{h.id, h.client.Name, e.at, e.owner.Name, h.cause()})
	r.holds[h.id], h.client.holds[h.id] = h, h
	heap.Push(&r.deadlines, h)
	e.waiters = append(e.waiters, h)
	e.waiting++
	if !e.listening {
		e.owner.missed++
	}
	if h.gated {
		e.gated++
		if h.client.gated++; h.client.gated == 1 {
			h.client.gatedSince = now
		}
	}
	h.client.join(now, e)
	if h.needsListen() || h.gated {
		r.watchCycles(now)
	}
}

// cancel ends a hold whose client went away.
func (r *Registry) cancel(now time.Time, h *hold) {
	r.finish(now, h)
	r.emit(Canceled{h.id, now.Sub(h.began)})
	r.publish(h.target)
}

func (r *Registry) refuse(now time.Time, h *hold, cause string) {
	r.finish(now, h)
	r.emit(Refuse{h.id, cause, now.Sub(h.began)})
	r.publish(h.target)
}

// finish takes a hold out of the books.
func (r *Registry) finish(now time.Time, h *hold) {
	h.ended = true
	delete(r.holds, h.id)
	delete(h.client.holds, h.id)
	heap.Remove(&r.deadlines, h.place)
	h.client.leave(h.target)
	e := h.target
	if e.owner != h.client {
		h.client.heldUntil = now
	}
	e.waiting--
	if !e.listening {
		e.owner.missed--
	}
	if h.gated {
		e.gated--
		h.client.gated--
	}
	// Clients that come and go must not fill the memory while one stays.
	const few = 16
	if len(e.waiters) > few && len(e.waiters) > 2*e.waiting {
		e.dropEnded()
	}
}

func (e *endpoint) dropEnded() {
	rest := make([]*hold, 0, e.waiting)
	for _, h := range e.waiters {
		if !h.ended {
			rest = append(rest, h)
		}
	}
	e.waiters = rest
}

// take releases the oldest waiters whose gates are open.
func (r *Registry) take(now time.Time, in Take) {
	e := r.endpoints[in.At]
	if e == nil || !e.serving {
		return
	}
	cause := fmt.Sprintf("%s:%d listens", e.owner.Service, e.at.Port())
	waiters := e.waiters
	e.waiters = nil // finish leaves them alone
	var gated []*hold
	n := 0
	for ; n < len(waiters) && in.Max > 0 && e.queued() > 0; n++ {
		switch h := waiters[n]; {
		case h.ended:
		case h.gated:
			gated = append(gated, h)
		default:
			in.Max--
			r.finish(now, h)
			r.emit(Release{h.id, cause, now.Sub(h.began)})
		}
	}
	// What was looked at is replaced by those of it that stay.
	keep := waiters[n-len(gated):]
	copy(keep, gated)
	clear(waiters[:n-len(gated)])
	e.waiters = keep
	r.publish(e)
}
