package registry

import (
	"fmt"
	"strings"
	"time"
)

// gate is what the jobs of a client say of its connects.
type gate struct {
	open    bool
	opened  time.Time // when, zero where there was nothing to open
	failed  bool      // and will not open
	cause   string    // why it is not open
	warning string    // which optional jobs have failed
}

// closedGate is the gate of a client that has not been started.
func closedGate(client *Instance) gate {
	jobs := client.Jobs()
	if len(jobs) == 0 {
		return gate{open: true}
	}
	return notCompleted(jobs[0])
}

func notCompleted(job string) gate {
	return gate{cause: fmt.Sprintf("job %s has not completed", job)}
}

// gateOf evaluates the jobs of a client. One that has failed counts before one
// that runs, unless it is optional.
func (r *Registry) gateOf(now time.Time, client *instance) gate {
	g := gate{open: true, opened: now}
	var warnings []string
	for _, i := range r.order {
		job, isJob := client.requirement(i.Service, ServiceCompleted)
		failed := fmt.Sprintf("job %s exited with code %d", i.Service, i.code)
		switch {
		case !isJob || (i.phase == exited && i.code == 0):
		case i.phase != exited && g.open:
			g = notCompleted(i.Service)
		case i.phase == exited && job.Required:
			return gate{failed: true, cause: failed}
		case i.phase == exited:
			warnings = append(warnings, "optional "+failed)
		}
	}
	g.warning = strings.Join(warnings, ", ")
	return g
}

// openGate sets the gate of a client that starts.
func (r *Registry) openGate(now time.Time, client *instance) {
	if len(client.Jobs()) == 0 {
		client.gate = gate{open: true}
		return
	}
	client.gate = r.gateOf(now, client)
	r.tellGate(client)
}

func (r *Registry) tellGate(client *instance) {
	r.emit(Gate{client.Name, client.gate.open})
	if client.gate.open && client.gate.warning != "" {
		r.emit(Warn{client.Name, "", client.gate.warning})
	}
}

// jobChanged reconsiders those who wait for a job. An open gate stays open: as
// in Compose, what a job's end allowed is not taken back.
func (r *Registry) jobChanged(now time.Time, job string) {
	for _, client := range r.order {
		if _, waits := client.requirement(job, ServiceCompleted); waits && !client.gate.open {
			r.setGate(now, client, r.gateOf(now, client))
		}
	}
}

// reviseGate evaluates the gate of a client with other requirements.
func (r *Registry) reviseGate(now time.Time, client *instance) {
	switch {
	case client.phase == created:
		r.setGate(now, client, closedGate(&client.Instance))
	case !client.gate.open:
		r.setGate(now, client, r.gateOf(now, client))
	}
}

// setGate changes the gate of a client, and what its holds wait for.
func (r *Registry) setGate(now time.Time, client *instance, g gate) {
	wasOpen := client.gate.open
	client.gate = g
	if g.open != wasOpen {
		r.tellGate(client)
	}
	for _, h := range matching(client.holds, func(h *hold) bool { return h.gated }) {
		if g.failed {
			r.refuse(now, h, g.cause)
			continue
		}
		r.recheck(now, h)
		r.publish(h.target)
	}
}

// isGatedFor tells whether the gate is in the way to server. It is a condition on
// what others have done, not on the client itself.
func (i *instance) isGatedFor(server *instance) bool { return !i.gate.open && i != server }
