package intercept

import (
	"context"
	"net"
	"net/netip"
	"slices"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/intercept/serve"
	"upall/internal/event"
	"upall/internal/linux"
)

// listen performs the call on the duplicate, so that the moment is exact; then
// comes the response, then the releases.
func (s *source) listen(n *seccomp.Notification) {
	sock := s.socket(n, (*linux.Socket).IsTCP)
	if sock == nil {
		return
	}
	defer s.discard(sock)
	if s.listenAsPromised(n, sock) {
		return
	}
	errno := linux.Errno(sock.Listen(int(int32(n.Args[1]))), 0)
	local, err := sock.LocalAddr()
	s.reply(n.ID, errno)
	if errno != 0 || err != nil {
		return
	}
	v6Only := local.Addr() == netip.IPv6Unspecified() && sock.IsV6Only()
	s.noteLoopback(local, v6Only)
	s.listens(n, s.logical(local), v6Only)
}

// noteLoopback remembers where on the instance's loopback it listens.
func (s *source) noteLoopback(local netip.AddrPort, v6Only bool) {
	if !s.instance.Loopback.IsValid() || (!local.Addr().IsLoopback() && !local.Addr().IsUnspecified()) {
		return
	}
	if local.Addr() == netip.IPv6Unspecified() && !v6Only {
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port())
	}
	s.loopbacks[netip.AddrPortFrom(s.instance.Loopback, local.Port())] = specified(local)
}

// logical is the endpoint that a listener on local stands for.
func (s *source) logical(local netip.AddrPort) netip.AddrPort {
	if !s.instance.Rewrite {
		if local.Addr().IsLoopback() && s.instance.Loopback.IsValid() {
			return netip.AddrPortFrom(s.instance.Loopback, local.Port())
		}
		return local
	}
	for at, actual := range s.remapped {
		if actual == local {
			return at
		}
	}
	return local
}

// listens tells of a listener.
func (s *source) listens(n *seccomp.Notification, at netip.AddrPort, v6Only bool) {
	i := s.instance
	if s.instances[i.Name] != i {
		return // a stranger's
	}
	if listening := (toldPort{i, at.Port()}); !s.told[listening] { // not again for IPv6
		s.told[listening] = true
		s.tell(event.Event{Type: event.Listening, Instance: i.Name, Port: at.Port()})
	}
	probe, ok := serve.For(linux.ProgramNames(int(n.PID))...)
	if ok {
		s.serveProbes[i] = probe
	}
	s.step(registry.Listened{Instance: i.Name, At: at, Probe: ok, V6Only: v6Only})
}

// probe waits until the listener serves, asking from within its own network
// namespace. Where that cannot be found out it is taken to.
func (i *Interceptor) probe(o registry.Probe) {
	n := i.instances[o.Instance]
	if n == nil {
		return
	}
	ctx, probe, actual := n.probes, i.serveProbes[n], i.real(o.At)
	options, end := i.dialerFor(n)
	i.work.Go(func() {
		defer end()
		if err := serve.Wait(ctx, probe, actual, options); err != nil && ctx.Err() == nil {
			i.log.Warn("ask whether an instance serves", "instance", n.Name, "error", err)
		}
		i.post(func() {
			if ctx.Err() == nil {
				i.step(registry.Served{At: o.At})
			}
		})
	})
}

// dialerFor returns how to connect from the instance's network namespace, and what
// to call when that is done.
func (i *Interceptor) dialerFor(n *instance) (serve.Options, func()) {
	if n.space == nil || n.space.ns == nil {
		return serve.Options{}, func() {}
	}
	ns, err := n.space.ns.Dup() // the space may be closed meanwhile
	if err != nil {
		i.log.Warn("keep a network namespace", "instance", n.Name, "error", err)
		return serve.Options{}, func() {}
	}
	dial := func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) { return linux.DialIn(ctx, ns, addr) }
	return serve.Options{Dial: dial}, func() { i.logIf("close a network namespace", ns.Close()) }
}

// instanceAt returns the first by name of the instances that have the address,
// nil if there are none. They share a network namespace.
func (i *Interceptor) instanceAt(addr netip.Addr) (first *instance) {
	for _, n := range i.instances {
		if n.has(addr) && (first == nil || n.Name < first.Name) {
			first = n
		}
	}
	return first
}

func (n *instance) has(addr netip.Addr) bool {
	return slices.Contains(n.Addrs, addr) || n.Loopback == addr
}

// spaceAt returns the space that the address is in, nil if none is known.
func (i *Interceptor) spaceAt(addr netip.Addr) *space {
	for _, n := range i.instances {
		if n.has(addr) && n.space != nil {
			return n.space
		}
	}
	return nil
}
