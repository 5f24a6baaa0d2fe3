package intercept

import (
	"maps"
	"net"
	"net/netip"
	"slices"

	"upall/intercept/registry"
)

// routes is the immutable view of the registry that the fast path reads. A
// change makes a new one.
type routes struct {
	project map[netip.Addr]struct{}
	host    map[netip.Addr]struct{} // the host's own addresses but loopback
	// open maps what serves, and is waited for by nobody, to where it really
	// listens.
	open map[netip.AddrPort]netip.AddrPort
}

func newRoutes(host map[netip.Addr]struct{}) *routes {
	return &routes{host: host, project: map[netip.Addr]struct{}{}, open: map[netip.AddrPort]netip.AddrPort{}}
}

// hostAddrs returns the addresses of the host's interfaces but loopback. Those
// that come later are not known.
func hostAddrs() map[netip.Addr]struct{} {
	addrs := map[netip.Addr]struct{}{}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return addrs
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() {
			addrs[p.Addr().Unmap()] = struct{}{}
		}
	}
	return addrs
}

func (i *Interceptor) updateRoutes(change func(*routes)) {
	old := i.routes.Load()
	r := &routes{host: old.host, project: maps.Clone(old.project), open: maps.Clone(old.open)}
	change(r)
	i.routes.Store(r)
}

func (i *Interceptor) applyRoutes(r *routes, changes []registry.Output) {
	for _, c := range changes {
		switch c := c.(type) {
		case registry.Open:
			r.open[c.At] = i.real(c.At)
			delete(i.drains, c.At)
		case registry.Shut:
			delete(r.open, c.At)
		}
	}
}

// real returns where the endpoint listens: elsewhere if its port needed
// privilege.
func (i *Interceptor) real(at netip.AddrPort) netip.AddrPort {
	if r, ok := i.remapped[at]; ok {
		return r
	}
	return at
}

// route is what the fast path can tell of a connect.
type route struct {
	target netip.AddrPort // in the project's terms
	passes bool           // without asking: continue
}

// find tells how the instance's connect to addr goes on. addr is not
// IPv4-mapped.
func (r *routes) find(n *instance, addr netip.AddrPort) route {
	if _, ok := r.project[addr.Addr()]; !ok {
		own, is := r.loopback(n, addr)
		if !is {
			return route{addr, true}
		}
		return route{target: own}
	}
	actual, open := r.open[addr]
	if !open {
		return route{addr, addr.Port() == 0} // nobody can listen on port 0
	}
	return route{addr, actual == addr && !n.gated.Load()}
}

// loopback tells which endpoint of the instance itself a connect to localhost,
// or to another address of the host, means, if any: one that it listens on or
// has declared.
func (r *routes) loopback(n *instance, addr netip.AddrPort) (own netip.AddrPort, is bool) {
	if _, ofHost := r.host[addr.Addr()]; !n.Rewrite || (!ofHost && !addr.Addr().IsLoopback()) {
		return addr, false
	}
	own = netip.AddrPortFrom(n.Addrs[0], addr.Port())
	if _, open := r.open[own]; open {
		return own, true
	}
	if slices.Contains(n.Ports, addr.Port()) {
		return own, true
	}
	return addr, false
}
