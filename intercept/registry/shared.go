package registry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Instances that share a network namespace have their addresses in common. Such
// an address has several members, and who serves a port of it is known for sure
// only when one listens. The loopback of a namespace is an address too: ::1 with
// a zone that no interface has (see IsLoopback), and shared by its members alone.

// IsLoopback tells whether the address stands for the loopback of the namespace
// that its zone names.
func IsLoopback(addr netip.Addr) bool { return addr.IsLoopback() && addr.Zone() != "" }

// shown is the address as people know it.
func shown(addr netip.Addr) string {
	if IsLoopback(addr) {
		return "127.0.0.1"
	}
	return addr.String()
}

// listener is what an instance listens on.
type listener struct {
	at     netip.AddrPort
	v6Only bool
}

// covers tells whether it is reached by a connect to addr, one of the instance's.
func (l listener) covers(addr netip.Addr) bool {
	switch own := l.at.Addr(); {
	case !own.IsUnspecified():
		return own == addr
	case IsLoopback(addr):
		return true
	case own.Is4():
		return addr.Is4()
	default:
		return addr.Is6() || !l.v6Only
	}
}

// server tells who is to serve the client at the endpoint: the member that
// listens there, else one that declares the port, else any other that may still
// come, nil where several may. lost says why nobody is to come, "" if one may. A
// client that itself declares the port means itself.
func (r *Registry) server(client *instance, at netip.AddrPort) (server *instance, lost string) {
	if e := r.endpoints[at]; e != nil && e.isListening() {
		return e.listener, ""
	}
	members := r.byAddr[at.Addr()]
	if len(members) == 1 {
		return members[0], members[0].lostCause(client, at)
	}
	if slices.Contains(members, client) && client.declares(at.Port()) {
		return client, client.lostCause(client, at)
	}
	may := r.prospects(client, at)
	switch len(may) {
	case 0:
		return nil, r.allLost(client, at)
	case 1:
		return may[0], ""
	}
	return nil, ""
}

// prospects returns the members that may still come to serve the client at an
// endpoint where nobody listens: one if it declares the port.
func (r *Registry) prospects(client *instance, at netip.AddrPort) (may []*instance) {
	for _, m := range r.othersAt(client, at) {
		switch {
		case m.lostCause(client, at) != "":
		case m.declares(at.Port()):
			return []*instance{m}
		default:
			may = append(may, m)
		}
	}
	return may
}

// othersAt returns the endpoint's members but the client, who counts only if it
// is held for itself too.
func (r *Registry) othersAt(client *instance, at netip.AddrPort) []*instance {
	return slices.DeleteFunc(slices.Clone(r.byAddr[at.Addr()]), func(m *instance) bool {
		return m == client && !client.HoldSelf
	})
}

// allLost says why no member is to come, by whoever declares the port.
func (r *Registry) allLost(client *instance, at netip.AddrPort) string {
	var causes []string
	for _, m := range r.othersAt(client, at) {
		cause := m.lostCause(client, at)
		if m.declares(at.Port()) {
			return cause
		}
		if !slices.Contains(causes, cause) {
			causes = append(causes, cause)
		}
	}
	return strings.Join(causes, ", ")
}

func (i *instance) declares(port uint16) bool { return slices.Contains(i.Ports, port) }

// lostCause says why at, where the instance does not listen, is not to be waited
// for, "" if it is. Who has declared that it waits for health waits for longer than
// a start-up window may last.
func (i *instance) lostCause(client *instance, at netip.AddrPort) string {
	switch {
	case i.phase == exited:
		return i.exitCause()
	case i.capped && i.mayBecomeHealthyFor(client):
		return ""
	case i.settled && i.phase == running:
		return i.portCause(at)
	}
	return ""
}

// holdsAt returns the holds, oldest first, on any of the instance's addresses.
func (r *Registry) holdsAt(i *instance) []*hold {
	return matching(r.holds, func(h *hold) bool { return slices.Contains(i.Addrs, h.target.at.Addr()) })
}

// waitingAt returns those of them that are on what does not listen.
func (r *Registry) waitingAt(i *instance) []*hold {
	return slices.DeleteFunc(r.holdsAt(i), func(h *hold) bool { return h.target.isListening() })
}

// reconsider refuses the holds that wait for nobody any more, now that the
// instance is not to be expected, and finds who the others wait for.
func (r *Registry) reconsider(now time.Time, i *instance) {
	for _, h := range r.waitingAt(i) {
		if _, lost := r.server(h.client, h.target.at); lost != "" {
			r.refuse(now, h, lost)
			continue
		}
		r.assign(now, h)
	}
}

// assign makes the hold wait for who is to serve it now.
func (r *Registry) assign(now time.Time, h *hold) {
	if server, lost := r.server(h.client, h.target.at); server != h.server && lost == "" {
		h.leave()
		h.miss(-1)
		h.server = server
		h.miss(1)
		h.join()
	}
	r.recheck(now, h)
}

// miss counts a hold for or against who is to listen for it.
func (h *hold) miss(n int) {
	if h.server != nil && !h.target.isListening() {
		h.server.missed += n
	}
}

// setListener notes who listens at the endpoint now, nil for nobody.
func (r *Registry) setListener(now time.Time, e *endpoint, i *instance) {
	waiters := slices.DeleteFunc(slices.Clone(e.waiters), func(h *hold) bool { return h.ended })
	for _, h := range waiters {
		h.miss(-1)
	}
	e.listener = i
	for _, h := range waiters {
		h.miss(1)
	}
	for _, h := range waiters {
		r.assign(now, h)
	}
}

// listensAt tells whether the instance has told of a listener there.
func (i *instance) listensAt(at netip.AddrPort) bool {
	for l := range i.listeners {
		if l.at.Port() == at.Port() && l.covers(at.Addr()) {
			return true
		}
	}
	return false
}

// MayServe tells whether the client's connect to at, where nobody listens, has
// anybody to wait for. Nobody waits for himself unless he asked for it.
func (r *Registry) MayServe(client string, at netip.AddrPort) bool {
	c := r.instances[client]
	if c == nil || len(r.byAddr[at.Addr()]) == 0 {
		return false
	}
	server, lost := r.server(c, at)
	return lost == "" && (server != c || c.HoldSelf)
}

// otherListener returns another member that has told of a listener there.
func (r *Registry) otherListener(e *endpoint, than *instance) *instance {
	for _, m := range r.byAddr[e.at.Addr()] {
		if m != than && m.listensAt(e.at) {
			return m
		}
	}
	return nil
}

// remove forgets an instance.
func (r *Registry) remove(now time.Time, in Removed) {
	i := r.instances[in.Instance]
	if i == nil {
		return
	}
	r.close(now, i)
	delete(r.instances, i.Name)
	r.order = slices.DeleteFunc(r.order, func(m *instance) bool { return m == i })
	r.unlocate(i)
	for _, h := range r.waitingAt(i) {
		// Without it the client may be the only member.
		if len(r.othersAt(h.client, h.target.at)) == 0 {
			r.refuse(now, h, i.Name+" was removed")
		}
	}
	r.reconsider(now, i)
	if slices.ContainsFunc(r.order, func(m *instance) bool { return m.Service == i.Service }) {
		r.jobChanged(now, i.Service)
	}
}

// serverName names who the hold waits for.
func (r *Registry) serverName(h *hold) string {
	if h.server != nil {
		return h.server.Service
	}
	members := r.prospects(h.client, h.target.at)
	if len(members) == 0 {
		members = r.othersAt(h.client, h.target.at)
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Service)
	}
	return strings.Join(slices.Compact(names), " or ")
}

// cause says what the hold waits for.
func (r *Registry) cause(h *hold) string {
	e, server := h.target, h.server
	switch name := fmt.Sprintf("%s:%d", r.serverName(h), e.at.Port()); {
	case h.gated:
		return h.client.gate.cause
	case server != nil && !e.isListening() && server.phase == created:
		return server.Service + " has not started"
	case server != nil && !e.isListening() && server.phase == restarting:
		return server.Service + " restarts"
	case !e.isListening():
		return name + " does not listen yet"
	case !e.serving:
		return name + " listens but does not serve yet"
	case h.sick:
		return name + " listens but is not healthy yet"
	default:
		return name + " has others waiting before"
	}
}
