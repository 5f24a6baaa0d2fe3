package intercept

import "net/netip"

// Publish tells that a connect on the host to at reaches target, of a container.
// An unspecified address stands for all of the host, loopback included. The
// engine's proxy listens at once, whether the container does or not: so connects
// of instances on the host are held for target, and go then where they wanted.
func (i *Interceptor) Publish(at, target netip.AddrPort) {
	i.do(func() {
		i.updateRoutes(func(r *routes) {
			r.published[publishedKey(at)] = target
			r.host = hostAddrs() // networks of the engine's may have come since
		})
	})
}

// Unpublish takes a Publish back. Who is held stays so.
func (i *Interceptor) Unpublish(at netip.AddrPort) {
	i.do(func() {
		i.updateRoutes(func(r *routes) { delete(r.published, publishedKey(at)) })
	})
}

func publishedKey(at netip.AddrPort) netip.AddrPort {
	if at.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port())
	}
	return at
}

// publishedAt tells what an instance on the host reaches at an address of it.
func (r *routes) publishedAt(n *Instance, addr netip.AddrPort) (target netip.AddrPort, is bool) {
	if !n.OnHost {
		return addr, false
	}
	if target, is = r.published[addr]; is {
		return target, true
	}
	target, is = r.published[netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())]
	return target, is
}
