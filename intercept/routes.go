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
	open      map[netip.AddrPort]netip.AddrPort
	listens   map[netip.AddrPort]struct{}       // open or not
	published map[netip.AddrPort]netip.AddrPort // see Publish
}

func newRoutes(host map[netip.Addr]struct{}) *routes {
	return &routes{
		host: host, project: map[netip.Addr]struct{}{},
		open: map[netip.AddrPort]netip.AddrPort{}, listens: map[netip.AddrPort]struct{}{},
		published: map[netip.AddrPort]netip.AddrPort{},
	}
}

// hostAddrs returns the addresses that the host's interfaces have now, but
// loopback.
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
	r := &routes{
		host: old.host, project: maps.Clone(old.project),
		open: maps.Clone(old.open), listens: maps.Clone(old.listens), published: maps.Clone(old.published),
	}
	change(r)
	i.routes.Store(r)
}

func (i *Interceptor) applyRoutes(r *routes, changes []registry.Output) {
	for _, c := range changes {
		switch c := c.(type) {
		case registry.Open:
			r.open[c.At], r.listens[c.At] = i.real(c.At), struct{}{}
			i.know(c.At)
			delete(i.drains, c.At)
		case registry.Shut:
			delete(r.open, c.At)
		}
	}
}

// routeListeners notes in the routes who listens where, after an input that may
// have changed it.
func (i *Interceptor) routeListeners(in registry.Input) {
	switch in := in.(type) {
	case registry.Listened:
		n := i.instances[in.Instance]
		i.updateRoutes(func(r *routes) {
			for _, a := range append(slices.Clone(n.Addrs), n.Loopback) {
				if at := netip.AddrPortFrom(a, in.At.Port()); i.registry.Listens(at) {
					r.listens[at] = struct{}{}
					i.know(at)
				}
			}
		})
	case registry.Started, registry.Ended, registry.Unlistened, registry.Removed:
		i.updateRoutes(func(r *routes) {
			maps.DeleteFunc(r.listens, func(at netip.AddrPort, _ struct{}) bool { return !i.registry.Listens(at) })
		})
	}
}

// real returns where the endpoint listens: elsewhere if its port needed
// privilege, and somewhere on the loopback for one that stands for it.
func (i *Interceptor) real(at netip.AddrPort) netip.AddrPort {
	if r, ok := i.remapped[at]; ok {
		return r
	}
	if r, ok := i.loopbacks[at]; ok {
		return r
	}
	if registry.IsLoopback(at.Addr()) {
		return specified(netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port()))
	}
	return at
}

// route is what the fast path can tell of a connect.
type route struct {
	target netip.AddrPort // in the project's terms
	// to is where the connect goes whatever the target's place is, invalid if that
	// is where it goes.
	to      netip.AddrPort
	passes  bool // without asking: continue
	isOpen  bool // and target is of the project
	isLocal bool // within the instance's own network namespace
}

// find tells how the instance's connect to addr goes on. addr is not
// IPv4-mapped.
func (r *routes) find(of *instance, addr netip.AddrPort) route {
	n := of.view.Load()
	_, ofProject := r.project[addr.Addr()]
	if !ofProject || (n.OnHost && !addr.Addr().IsLoopback()) {
		found, is := r.here(of, n, addr)
		if is || !ofProject {
			return found
		}
	}
	actual, open := r.open[addr]
	if !open {
		return route{target: addr, passes: addr.Port() == 0} // nobody can listen on port 0
	}
	passes := actual == addr && !of.gated.Load()
	return route{target: addr, passes: passes, isOpen: passes}
}

// engineDNS is the name server of an engine, which answers there through NAT: no
// instance listens on it.
var engineDNS = netip.AddrFrom4([4]byte{127, 0, 0, 11})

// here tells what a connect to localhost, or on the host to another address of
// it, means, if anything of the project.
func (r *routes) here(of *instance, n *Instance, addr netip.AddrPort) (found route, is bool) {
	passes := route{target: addr, passes: true}
	if n.Rewrite {
		if own, is := r.loopback(n, addr); is {
			return route{target: own}, true
		}
	}
	addr = specified(addr)
	_, ofHost := r.host[addr.Addr()]
	isLoopback := addr.Addr().IsLoopback() && addr.Addr() != engineDNS
	if !isLoopback && (!n.OnHost || !ofHost) {
		return passes, false
	}
	own := netip.AddrPortFrom(n.Loopback, addr.Port())
	shares := isLoopback && n.Loopback.IsValid() && !n.Rewrite
	if target, is := r.publishedAt(n, addr); is && (!shares || !r.isOwn(n, own)) {
		return r.asGiven(of, target, addr), true
	}
	if !shares {
		return passes, false
	}
	found = r.asGiven(of, own, addr)
	found.isLocal = true
	return found, true
}

// specified is where a connect to an unspecified address goes (connect(2) takes
// it for the loopback).
func specified(addr netip.AddrPort) netip.AddrPort {
	switch addr.Addr() {
	case netip.IPv4Unspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port())
	case netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), addr.Port())
	}
	return addr
}

// asGiven is the route to what the client reaches at the address that it gives.
func (r *routes) asGiven(n *instance, target, to netip.AddrPort) route {
	_, open := r.open[target]
	open = open && !n.gated.Load()
	return route{target: target, to: to, passes: to.Port() == 0 || open, isOpen: open}
}

// isOwn tells whether the endpoint of the instance's loopback is one that the
// instance or who shares it listens on, or that it has declared.
func (r *routes) isOwn(n *Instance, own netip.AddrPort) bool {
	_, listens := r.listens[own]
	return listens || slices.Contains(n.Ports, own.Port())
}

// loopback tells which endpoint of the instance itself a connect to localhost,
// or to another address of the host, means, if any: one that it listens on or
// has declared.
func (r *routes) loopback(n *Instance, addr netip.AddrPort) (own netip.AddrPort, is bool) {
	if _, ofHost := r.host[addr.Addr()]; !ofHost && !addr.Addr().IsLoopback() {
		return addr, false
	}
	own = netip.AddrPortFrom(n.Addrs[0], addr.Port())
	return own, r.isOwn(n, own)
}
