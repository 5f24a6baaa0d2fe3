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
		e = &endpoint{at: at}
		r.endpoints[at] = e
	}
	return e
}

// queued returns how many wait for nothing but the endpoint.
func (e *endpoint) queued() int { return e.waiting - e.gated }

func (r *Registry) connect(now time.Time, in Connect) {
	client := r.instances[in.Client]
	if client == nil || len(r.byAddr[in.Target.Addr()]) == 0 || client.NoHold {
		r.emit(Pass{in.ID})
		return
	}
	server, lost := r.server(client, in.Target)
	gated := client.isGatedFor(server)
	known := r.endpoints[in.Target]
	switch {
	case client == server && !client.HoldSelf:
		r.emit(Pass{in.ID})
	case gated && client.gate.failed:
		r.emit(Refuse{ID: in.ID, Cause: client.gate.cause})
	case lost != "":
		r.emit(Refuse{ID: in.ID, Cause: lost})
	case !gated && known != nil && known.open:
		r.emit(Pass{in.ID})
	default:
		r.hold(now, &hold{
			id: in.ID, client: client, server: server, target: r.endpoint(in.Target), gated: gated,
			began: now, deadline: now.Add(client.HoldTimeout),
		})
	}
}

func (r *Registry) hold(now time.Time, h *hold) {
	e := h.target
	server := h.server
	if server == nil {
		server = r.prospects(h.client, e.at)[0]
	}
	r.emit(Hold{h.id, h.client.Name, e.at, server.Name, r.cause(h)})
	r.holds[h.id], h.client.holds[h.id] = h, h
	heap.Push(&r.deadlines, h)
	e.waiters = append(e.waiters, h)
	e.waiting++
	h.miss(1)
	if h.gated {
		h.gated = false
		r.setGated(h, true)
	}
	h.join()
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
	h.leave()
	e := h.target
	if h.server != h.client {
		h.client.heldUntil = now
	}
	e.waiting--
	h.miss(-1)
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
	cause := fmt.Sprintf("%s:%d listens", e.listener.Service, e.at.Port())
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
