package registry

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Condition is what a client requires of a service before its connects go on.
type Condition string

// The conditions, by their names in the Compose Specification.
const (
	ServiceStarted   Condition = "service_started" // asks for nothing more than that each connect is held
	ServiceHealthy   Condition = "service_healthy" // of whoever of the service is connected to
	ServiceCompleted Condition = "service_completed_successfully"
)

// Requirement is a declared dependency.
type Requirement struct {
	Service   string
	Condition Condition
	Required  bool // false: where the condition fails, the client is warned and goes on
}

// Instance describes one process or container of a service.
type Instance struct {
	Name        string // unique in the project
	Service     string
	Addrs       []netip.Addr // all that reach it; others may have the same, see shared
	Ports       []uint16     // declared TCP ports
	HoldTimeout time.Duration
	Requires    []Requirement // services that completed must be added before it is started
	HasHealth   bool          // it has a healthcheck, which Health tells of: connects to it wait until it is healthy
	HoldSelf    bool          // hold connects to its own addresses too
	NoHold      bool          // never hold its connects
}

// Jobs returns the services that must exit with 0 before the instance's connects
// to others go on.
func (i *Instance) Jobs() (services []string) {
	for _, r := range i.Requires {
		if r.Condition == ServiceCompleted {
			services = append(services, r.Service)
		}
	}
	return services
}

// requirement returns what the instance requires of the service on that
// condition.
func (i *Instance) requirement(service string, c Condition) (r Requirement, ok bool) {
	n := slices.IndexFunc(i.Requires, func(r Requirement) bool { return r.Service == service && r.Condition == c })
	if n < 0 {
		return Requirement{}, false
	}
	return i.Requires[n], true
}

// Add makes an instance known. Until Started, connects to it are held. The
// description of a known one is replaced: it keeps its life, its listeners and
// the holds, and what comes of that is told by the next Step.
func (r *Registry) Add(i Instance) {
	in := r.instances[i.Name]
	if in == nil {
		in = &instance{
			Instance: i, gate: closedGate(&i),
			listeners: map[listener]struct{}{}, holds: map[uint64]*hold{}, edges: map[*instance]*edge{},
		}
		r.instances[i.Name] = in
		r.order = append(r.order, in)
		slices.SortFunc(r.order, byName)
	} else {
		r.unlocate(in)
		if !slices.Equal(in.Ports, i.Ports) {
			in.ready, in.settled, in.settledTold = false, false, false
		}
	}
	in.Instance = i
	for _, a := range i.Addrs {
		r.byAddr[a] = append(r.byAddr[a], in)
		slices.SortFunc(r.byAddr[a], byName)
	}
	r.described = append(r.described, in)
}

// SetHasHealth says whether a known instance has a healthcheck, where that is
// learned after Add. What comes of it is told by the next Step.
func (r *Registry) SetHasHealth(name string, has bool) {
	if i := r.instances[name]; i != nil && i.HasHealth != has {
		i.HasHealth = has
		r.described = append(r.described, i)
	}
}

// unlocate takes an instance off its addresses.
func (r *Registry) unlocate(i *instance) {
	for _, a := range i.Addrs {
		if r.byAddr[a] = slices.DeleteFunc(r.byAddr[a], func(m *instance) bool { return m == i }); len(r.byAddr[a]) == 0 {
			delete(r.byAddr, a)
		}
	}
}

// revise carries out what follows from new descriptions.
func (r *Registry) revise(now time.Time) {
	if len(r.described) == 0 {
		return
	}
	described := slices.DeleteFunc(r.described, func(i *instance) bool { return r.instances[i.Name] != i })
	r.described = nil
	for _, i := range described {
		r.dropListeners(now, i)
		r.extendListeners(now, i)
		r.reviseGate(now, i)
	}
	holds := matching(r.holds, func(*hold) bool { return true })
	for _, h := range holds {
		addr := h.target.at.Addr()
		_, lost := r.server(h.client, h.target.at)
		switch hasMoved := h.server != nil && !slices.Contains(h.server.Addrs, addr); {
		case len(r.othersAt(h.client, h.target.at)) == 0:
			r.refuse(now, h, fmt.Sprintf("nobody is at %s any more", shown(addr)))
		case hasMoved && lost != "":
			r.refuse(now, h, lost)
		default:
			r.assign(now, h)
		}
	}
	for _, h := range holds {
		r.publish(h.target)
	}
	for _, i := range described {
		r.publishAll(i)
		if i.phase == running {
			r.checkReady(now, i)
		}
	}
}

// extendListeners has what an instance listens on reach it at new addresses too.
// It has been probed at others.
func (r *Registry) extendListeners(now time.Time, i *instance) {
	told := slices.SortedFunc(maps.Keys(i.listeners), func(a, b listener) int { return a.at.Compare(b.at) })
	for _, l := range told {
		for _, a := range i.Addrs {
			at := netip.AddrPortFrom(a, l.at.Port())
			if !l.covers(a) || r.Listens(at) {
				continue
			}
			r.setListener(now, r.endpoint(at), i)
			r.serve(now, at)
		}
	}
}

// endpointsOf returns the endpoints at which an instance listens, in order.
func (r *Registry) endpointsOf(i *instance) (own []*endpoint) {
	for _, e := range r.endpoints {
		if e.listener == i {
			own = append(own, e)
		}
	}
	slices.SortFunc(own, func(a, b *endpoint) int { return a.at.Compare(b.at) })
	return own
}

func (r *Registry) publishAll(i *instance) {
	for _, e := range r.endpointsOf(i) {
		r.publish(e)
	}
}
