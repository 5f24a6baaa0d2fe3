package registry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"upall/internal/event"
)

// Finding is why a connect does not go on, in words that a person can act on.
type Finding struct {
	Kind   event.Kind
	Cause  string
	About  string // service that the Cause is about
	Server string // instance; "" while it may be one of several
}

// Diagnose finds why the client's connects to the endpoint are held, or refused. ok
// is false where nothing is known that is in their way.
func (r *Registry) Diagnose(client string, at netip.AddrPort) (f Finding, ok bool) {
	c := r.instances[client]
	if c == nil || len(r.byAddr[at.Addr()]) == 0 {
		return Finding{}, false
	}
	server, lost := r.server(c, at)
	if f, ok := r.gateFinding(c, server); ok && (c.gate.failed || lost == "") {
		return f, true
	}
	if cycle := r.cycleWith(c, at); cycle != nil {
		names := members(cycle)
		return Finding{Kind: event.InCycle, Cause: strings.Join(names, ", ") + " wait for each other", About: names[0]}, true
	}
	if server == nil {
		return r.severalFinding(c, at, lost)
	}
	f = Finding{About: server.Service, Server: server.Name}
	f.Kind, f.Cause = r.finding(c, server, at)
	return f, f.Cause != ""
}

// gateFinding is of a client whose jobs are in the way.
func (r *Registry) gateFinding(c, server *instance) (f Finding, ok bool) {
	if !c.isGatedFor(server) {
		return Finding{}, false
	}
	f = Finding{Kind: event.JobRuns, Cause: c.gate.cause}
	for _, job := range c.Jobs() {
		isIt := func(i *instance) bool { return i.Service == job && (i.phase != exited || i.code != 0) }
		if n := slices.IndexFunc(r.order, isIt); n >= 0 && (!c.gate.failed || r.order[n].phase == exited) {
			f.About, f.Server = job, r.order[n].Name
			break
		}
	}
	if c.gate.failed {
		f.Kind = event.JobFailed
	}
	return f, true
}

// cycleWith returns the cycle that a hold of the client is in, nil if there is none.
func (r *Registry) cycleWith(c *instance, at netip.AddrPort) []wait {
	for _, h := range c.holds {
		if h.target.at == at {
			return r.cycleOf(h, map[wait]bool{})
		}
	}
	return nil
}

// severalFinding is of an endpoint that several instances share.
func (r *Registry) severalFinding(c *instance, at netip.AddrPort, lost string) (f Finding, ok bool) {
	others := r.othersAt(c, at)
	if len(others) == 0 {
		return Finding{}, false
	}
	f = Finding{About: others[0].Service}
	if lost == "" {
		f.Kind, f.Cause = event.IsStarting, fmt.Sprintf("nobody listens on %s:%d yet", shown(at.Addr()), at.Port())
		return f, true
	}
	f.Kind, _ = r.finding(c, others[0], at)
	f.Cause = lost
	return f, true
}

// finding is why the one server does not take the client's connect.
func (r *Registry) finding(c, server *instance, at netip.AddrPort) (kind event.Kind, cause string) {
	e := r.endpoints[at]
	name := fmt.Sprintf("%s:%d", server.Service, at.Port())
	switch isListening := e != nil && e.isListening(); {
	case !isListening:
		return server.absence(at)
	case c.isRefused(server):
		return event.IsUnhealthy, server.unhealthyCause()
	case !e.serving:
		return event.IsStarting, name + " listens but does not serve yet"
	case c.awaitsHealth(server):
		return event.NotHealthy, name + " listens but is not healthy yet"
	case e.queued() > 0:
		return event.Busy, name + " accepts more slowly than others connect"
	}
	return "", ""
}

// absence says why the instance does not listen at the endpoint.
func (i *instance) absence(at netip.AddrPort) (kind event.Kind, cause string) {
	switch i.phase {
	case created:
		return event.NotStarted, i.Service + " has not started"
	case restarting:
		if i.code != 0 {
			return event.IsRestarting, i.exitCause() + " and restarts"
		}
		return event.IsRestarting, i.Service + " restarts"
	case exited:
		return event.HasExited, i.exitCause()
	}
	if kind, cause := i.portFinding(at); i.settled || kind != event.NoPort {
		return kind, cause
	}
	return event.IsStarting, fmt.Sprintf("%s:%d does not listen yet", i.Service, at.Port())
}
