package registry

import (
	"fmt"
	"slices"
	"time"
)

// gate is what the jobs of a client say of its connects.
type gate struct {
	open   bool
	failed bool   // and will not open
	cause  string // why it is not open
}

// closedGate is the gate of a client that has not been started.
func closedGate(jobs []string) gate {
	if len(jobs) == 0 {
		return gate{open: true}
	}
	return notCompleted(jobs[0])
}

func notCompleted(job string) gate {
	return gate{cause: fmt.Sprintf("job %s has not completed", job)}
}

// gateOf evaluates the jobs of a client. One that has failed counts before one
// that runs.
func (r *Registry) gateOf(client *instance) gate {
	g := gate{open: true}
	for _, i := range r.order {
		switch {
		case !slices.Contains(client.Jobs, i.Service):
		case i.phase != exited && g.open:
			g = notCompleted(i.Service)
		case i.phase == exited && i.code != 0:
			return gate{failed: true, cause: fmt.Sprintf("job %s exited with code %d", i.Service, i.code)}
		}
	}
	return g
}

// openGate sets the gate of a client that starts.
func (r *Registry) openGate(client *instance) {
	if len(client.Jobs) == 0 {
		return
	}
	client.gate = r.gateOf(client)
	r.emit(Gate{client.Name, client.gate.open})
}

// jobChanged reconsiders those who wait for a job. An open gate stays open: as
// in Compose, what a job's end allowed is not taken back.
func (r *Registry) jobChanged(now time.Time, job string) {
	for _, client := range r.order {
		if client.gate.open || !slices.Contains(client.Jobs, job) {
			continue
		}
		client.gate = r.gateOf(client)
		switch {
		case client.gate.failed:
			for _, h := range matching(client.holds, func(h *hold) bool { return h.gated }) {
				r.refuse(now, h, client.gate.cause)
			}
		case client.gate.open:
			r.emit(Gate{client.Name, true})
			r.ungate(client)
		}
	}
}

// ungate lets the holds of a client whose gate has opened wait for their targets
// alone.
func (r *Registry) ungate(client *instance) {
	for _, h := range matching(client.holds, func(h *hold) bool { return h.gated }) {
		r.setGated(h, false)
	}
}

// isGatedFor tells whether the gate is in the way to server. It is a condition on
// what others have done, not on the client itself.
func (i *instance) isGatedFor(server *instance) bool { return !i.gate.open && i != server }

func (h *hold) isGated() bool { return h.client.isGatedFor(h.server) }

// setGated changes whether the hold waits for its client's gate.
func (r *Registry) setGated(h *hold, gated bool) {
	e := h.target
	h.gated = gated
	if gated {
		e.gated++
		if h.client.gated++; h.client.gated == 1 {
			h.client.gatedSince = h.began
		}
	} else {
		e.gated--
		h.client.gated--
		if e.serving && e.queued() == 1 {
			r.emit(Drain{e.at})
		}
	}
	r.publish(e)
}
