package registry

import (
	"cmp"
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
func (e *endpoint) queued() int { return e.waiting - e.barred }

// isBarred tells whether the hold waits for more than its endpoint.
func (h *hold) isBarred() bool { return h.gated || h.sick }

func (r *Registry) connect(now time.Time, in Connect) {
	client := r.instances[in.Client]
	if client == nil || len(r.byAddr[in.Target.Addr()]) == 0 || client.NoHold {
		r.emit(Pass{in.ID})
		return
	}
	server, lost := r.server(client, in.Target)
	e := r.endpoints[in.Target]
	gated := client.isGatedFor(server)
	switch {
	case client == server && !client.HoldSelf:
		r.emit(Pass{in.ID})
	case gated && client.gate.failed:
		r.emit(Refuse{ID: in.ID, Cause: client.gate.cause})
	case lost != "":
		r.emit(Refuse{ID: in.ID, Cause: lost})
	case client.isRefused(server):
		r.emit(Refuse{ID: in.ID, Cause: server.unhealthyCause()})
	case in.Began.IsZero() && !gated && e != nil && e.serving && e.queued() == 0 && !client.awaitsHealth(server):
		r.emit(Pass{in.ID})
		r.warn(client, server, client.reservation(server))
	default:
		r.hold(now, &hold{id: in.ID, client: client, server: server, target: r.endpoint(in.Target), began: in.Began, place: -1})
	}
}

func (r *Registry) hold(now time.Time, h *hold) {
	e := h.target
	isNew := h.began.IsZero()
	if isNew {
		h.began = now
	}
	r.holds[h.id], h.client.holds[h.id] = h, h
	e.waiters = append(e.waiters, h)
	e.waiting++
	h.miss(1)
	h.join()
	r.recheck(now, h)
	server := h.server
	if server == nil {
		server = r.prospects(h.client, e.at)[0]
	}
	r.emit(Hold{h.id, h.client.Name, e.at, server.Name, r.cause(h)})
	if !isNew && e.serving && !h.isBarred() {
		r.emit(Drain{e.at}) // its turn had not come
	}
	r.publish(e)
	if h.needsListen() || h.gated {
		r.watchCycles(now)
	}
}

// recheck finds out what the hold waits for beside its endpoint, and until when.
// Its endpoint is to be published then.
func (r *Registry) recheck(now time.Time, h *hold) {
	if h.client.isRefused(h.server) {
		r.refuse(now, h, h.server.unhealthyCause())
		return
	}
	e, was := h.target, h.isBarred()
	if gated := h.client.isGatedFor(h.server); gated != h.gated {
		h.gated = gated
		h.client.countGated(h)
	}
	h.sick = h.client.awaitsHealth(h.server)
	switch is := h.isBarred(); {
	case is && !was:
		e.barred++
	case was && !is:
		if e.barred--; e.serving && e.queued() == 1 {
			r.emit(Drain{e.at})
		}
	}
	r.rearm(h)
	if h.waitsForHealth() {
		r.watchCycles(now)
	}
}

func (i *instance) countGated(h *hold) {
	if !h.gated {
		i.gated--
		return
	}
	if i.gated++; i.gated == 1 {
		i.gatedSince = h.began
	}
}

// cancel ends a hold whose client went away. Its endpoint is to be published then.
func (r *Registry) cancel(now time.Time, h *hold) {
	r.finish(now, h)
	r.emit(Canceled{h.id, now.Sub(h.began)})
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
	if h.place >= 0 {
		heap.Remove(&r.deadlines, h.place)
	}
	h.leave()
	e := h.target
	if h.server != h.client {
		h.client.heldUntil = now
	}
	e.waiting--
	h.miss(-1)
	if h.isBarred() {
		e.barred--
	}
	if h.gated {
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

// take releases the oldest waiters whom nothing else is in the way of.
func (r *Registry) take(now time.Time, in Take) {
	e := r.endpoints[in.At]
	if e == nil || !e.serving {
		return
	}
	waiters := e.waiters
	e.waiters = nil // finish leaves them alone
	var barred []*hold
	n := 0
	for ; n < len(waiters) && in.Max > 0 && e.queued() > 0; n++ {
		switch h := waiters[n]; {
		case h.ended:
		case h.isBarred():
			barred = append(barred, h)
		default:
			in.Max--
			r.release(now, h)
		}
	}
	// What was looked at is replaced by those of it that stay.
	keep := waiters[n-len(barred):]
	copy(keep, barred)
	clear(waiters[:n-len(barred)])
	e.waiters = keep
	r.publish(e)
}

// release ends a hold on what serves.
func (r *Registry) release(now time.Time, h *hold) {
	server := h.target.listener
	reservation := h.client.reservation(server)
	r.finish(now, h)
	cause := fmt.Sprintf("%s:%d listens", server.Service, h.target.at.Port())
	r.emit(Release{h.id, cmp.Or(reservation, cause), now.Sub(h.began)})
	r.warn(h.client, server, reservation)
}
