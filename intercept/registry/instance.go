package registry

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

func (r *Registry) start(now time.Time, in Started) {
	i := r.instances[in.Instance]
	if i == nil {
		return
	}
	r.close(now, i)
	i.phase, i.started, i.heldUntil = running, now, time.Time{}
	i.ready, i.settled, i.settledTold = false, false, false
	r.openGate(now, i)
	r.reconsider(now, i)
	if len(i.Ports) > 0 {
		r.checkReady(now, i) // others of its namespace may serve them
	}
	r.jobChanged(now, i.Service)
}

func (r *Registry) end(now time.Time, in Ended) {
	i := r.instances[in.Instance]
	if i == nil {
		return
	}
	r.close(now, i)
	i.code, i.phase = in.Code, restarting
	if in.Final {
		i.phase = exited
	}
	r.reconsider(now, i)
	r.jobChanged(now, i.Service)
}

// close forgets the listeners and the connects of an instance whose program is
// not there any more. What is open is told when both are forgotten: others may
// queue then where the instance did.
func (r *Registry) close(now time.Time, i *instance) {
	holds := matching(i.holds, func(*hold) bool { return true })
	for _, h := range holds {
		r.cancel(now, h)
	}
	clear(i.listeners)
	i.newest, i.reopened = time.Time{}, time.Time{}
	i.forgetHealth()
	r.dropListeners(now, i)
	for _, h := range holds {
		r.publish(h.target)
	}
}

// dropListeners takes an instance off the endpoints at which it listens no more.
func (r *Registry) dropListeners(now time.Time, i *instance) {
	for _, e := range r.endpointsOf(i) {
		if slices.Contains(i.Addrs, e.at.Addr()) && i.listensAt(e.at) {
			continue
		}
		other := r.otherListener(e, i)
		e.serving = e.serving && other != nil
		r.setListener(now, e, other)
		if e.waiting > 0 {
			r.watchCycles(now)
		}
		r.publish(e)
	}
}

func (r *Registry) listen(now time.Time, in Listened) {
	i := r.instances[in.Instance]
	if i == nil || i.phase != running {
		return
	}
	i.newest = now
	l := listener{in.At, in.V6Only}
	i.listeners[l] = struct{}{}
	for _, a := range i.Addrs {
		if !l.covers(a) {
			continue
		}
		e := r.endpoint(netip.AddrPortFrom(a, in.At.Port()))
		if e.listener == i {
			continue // a second listener, or listen(2) again
		}
		before := e.listener
		r.setListener(now, e, i)
		switch {
		case before != nil && e.serving: // the port was free for it, so the other has closed
			r.publish(e)
		case in.Probe:
			r.emit(Probe{e.at, i.Name})
		default:
			r.serve(now, e.at)
		}
	}
}

// unlisten forgets a listener and opens the window of its instance again: that it
// is about to end, or to listen anew, is likelier than that it has had enough.
func (r *Registry) unlisten(now time.Time, at netip.AddrPort) {
	e := r.endpoints[at]
	if e == nil || !e.isListening() {
		return
	}
	i := e.listener
	maps.DeleteFunc(i.listeners, func(l listener, _ struct{}) bool {
		return l.at.Port() == at.Port() && l.covers(at.Addr())
	})
	r.dropListeners(now, i)
	i.ready, i.settled, i.settledTold = false, false, false
	i.newest, i.reopened = now, now
}

func (r *Registry) serve(now time.Time, at netip.AddrPort) {
	e := r.endpoints[at]
	if e == nil || !e.isListening() || e.serving {
		return
	}
	e.serving, e.served = true, now
	if e.queued() > 0 {
		r.emit(Drain{at})
	}
	r.publish(e)
	if e.barred > 0 {
		r.watchCycles(now)
	}
	for _, m := range r.byAddr[at.Addr()] {
		if m.phase == running && (m.declares(at.Port()) || m == e.listener) {
			r.checkReady(now, m)
		}
	}
}

// publish tells a change of the endpoint's openness to the fast path, and
// forgets an endpoint that nothing is to be known of any more.
func (r *Registry) publish(e *endpoint) {
	if !e.isListening() && e.waiting == 0 {
		delete(r.endpoints, e.at)
	}
	open := e.serving && e.queued() == 0 && e.listener.isOpenToAll()
	if open == e.open {
		return
	}
	e.open = open
	if r.takeBack(e) {
		return
	}
	e.told, e.toldIn = len(r.out)+1, r.steps
	if open {
		r.emit(Open{e.at})
	} else {
		r.emit(Shut{e.at})
	}
}

// takeBack withdraws what the step has told of the endpoint's openness, which is
// not true any more: who reads the outputs in order must not take a Drain between
// the two for settled by an Open.
func (r *Registry) takeBack(e *endpoint) bool {
	if e.told == 0 || e.toldIn != r.steps {
		return false
	}
	r.out[e.told-1], e.told = nil, 0
	return true
}

func (r *Registry) checkReady(now time.Time, i *instance) {
	if i.ready || !r.serves(i) {
		return
	}
	i.ready = true
	r.emit(Ready{i.Name, now.Sub(i.started)})
}

// serves tells whether the instance serves all its declared ports, or any where
// it declares none. What listens on the loopback alone does not count for an
// instance that has other addresses: databases do so while they are set up.
func (r *Registry) serves(i *instance) bool {
	reached := slices.DeleteFunc(slices.Clone(i.Addrs), IsLoopback)
	if len(reached) == 0 {
		reached = i.Addrs
	}
	serving := func(port uint16) bool {
		return slices.ContainsFunc(reached, func(a netip.Addr) bool {
			e := r.endpoints[netip.AddrPortFrom(a, port)]
			return e != nil && e.serving
		})
	}
	if len(i.Ports) > 0 {
		return !slices.ContainsFunc(i.Ports, func(port uint16) bool { return !serving(port) })
	}
	for l := range i.listeners {
		if serving(l.at.Port()) {
			return true
		}
	}
	return false
}

// settlesAt tells when the start-up window of a running instance ends if
// nothing happens until then. It does not end while the instance is itself held,
// which keeps it from listening, nor for Settle after.
func (i *instance) settlesAt() (time.Time, bool) {
	if i.phase != running || i.settled || i.isHeld() {
		return time.Time{}, false
	}
	at := later(i.started.Add(i.HoldTimeout), later(i.heldUntil, i.reopened).Add(Settle))
	if t, ok := i.quietAt(); ok && t.Before(at) {
		at = t
	}
	return at, true
}

// quietAt tells when an instance without declared ports is taken to have opened
// all it will.
func (i *instance) quietAt() (time.Time, bool) {
	if len(i.Ports) > 0 || i.newest.IsZero() {
		return time.Time{}, false
	}
	return later(i.newest, i.heldUntil).Add(Settle), true
}

// isHeld tells whether the instance waits for another.
func (i *instance) isHeld() bool {
	_, itself := i.edges[i]
	return len(i.edges) > 1 || (len(i.edges) == 1 && !itself)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// settle ends start-up windows: what does not listen by then is not waited for.
// Where the window ends with the hold timeout alone, the holds that it has seen
// begin keep their own timeouts: else none would ever expire, as a hold begins
// after its target's start, and a cycle would lose all of its edges at once.
func (r *Registry) settle(now time.Time) {
	for _, i := range r.order {
		isComplete := i.phase == running && (!i.settled || i.capped) && i.ready && len(i.Ports) > 0
		at, ends := i.settlesAt()
		if !isComplete && (!ends || at.After(now)) {
			continue
		}
		quiet, isQuiet := i.quietAt()
		i.settled = true
		i.capped = !isComplete && (!isQuiet || quiet.After(now))
		if !i.capped {
			r.reconsider(now, i)
		}
	}
}

// tellSettled tells of the windows that are over. Early listeners may go then,
// so nobody may wait in one.
func (r *Registry) tellSettled() {
	for _, i := range r.order {
		if i.settled && !i.settledTold && i.phase == running && i.missed == 0 {
			i.settledTold = true
			r.emit(Settled{i.Name})
		}
	}
}
