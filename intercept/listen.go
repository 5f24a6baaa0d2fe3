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
	if errno != 0 || err != nil {
		s.reply(n.ID, errno)
		return
	}
	v6Only := local.Addr() == netip.IPv6Unspecified() && sock.IsV6Only()
	s.instance.noteLoopback(s.loopbacks, local, v6Only)
	l := s.noteListener(n, sock, s.logical(s.instance, local), v6Only)
	s.reply(n.ID, 0)
	s.listens(s.instance, l)
}

// noteListener writes a listener down before its program knows of it.
func (s *source) noteListener(n *seccomp.Notification, sock *linux.Socket, at netip.AddrPort, v6Only bool) listening {
	l := listening{At: at, V6Only: v6Only}
	var err error
	l.Inode, err = sock.Inode()
	s.logIf("find the inode of a listener", err)
	s.instance.notePrograms(&l, linux.ProgramNames(int(n.PID)))
	s.instance.noteListening(l)
	s.record(s.instance)
	return l
}

// notePrograms remembers by which names the program is known that listens, if there
// is a serve probe for it.
func (n *instance) notePrograms(l *listening, names []string) {
	if _, l.Probe = serve.For(names...); l.Probe {
		n.programs = names
	}
}

func (n *instance) noteListening(l listening) {
	n.listens = append(slices.DeleteFunc(n.listens, func(old listening) bool { return old.At == l.At && old.V6Only == l.V6Only }), l)
}

// noteLoopback remembers where on the instance's loopback it listens.
func (n *instance) noteLoopback(loopbacks map[netip.AddrPort]netip.AddrPort, local netip.AddrPort, v6Only bool) {
	if !n.Loopback.IsValid() || (!local.Addr().IsLoopback() && !local.Addr().IsUnspecified()) {
		return
	}
	if local.Addr() == netip.IPv6Unspecified() && !v6Only {
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port())
	}
	loopbacks[netip.AddrPortFrom(n.Loopback, local.Port())] = specified(local)
}

// logical is the endpoint that a listener on local stands for.
func (i *Interceptor) logical(n *instance, local netip.AddrPort) netip.AddrPort {
	if !n.Rewrite {
		if local.Addr().IsLoopback() && n.Loopback.IsValid() {
			return netip.AddrPortFrom(n.Loopback, local.Port())
		}
		return local
	}
	for at, actual := range i.remapped {
		if actual == local {
			return at
		}
	}
	return local
}

// listens tells of a listener.
func (i *Interceptor) listens(n *instance, l listening) {
	if i.instances[n.Name] != n {
		return // a stranger's
	}
	if t := (toldPort{n, l.At.Port()}); !i.told[t] { // not again for IPv6
		i.told[t] = true
		i.tell(event.Event{Type: event.Listening, Instance: n.Name, Port: l.At.Port()})
	}
	if l.Probe {
		i.serveProbes[n], _ = serve.For(n.programs...)
	}
	i.step(registry.Listened{Instance: n.Name, At: l.At, Probe: l.Probe, V6Only: l.V6Only})
	i.changed(n)
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

// spaceAt returns the space that the address is in, nil if none is known.
func (i *Interceptor) spaceAt(addr netip.Addr) *space {
	for _, n := range i.instances {
		if n.has(addr) && n.space != nil {
			return n.space
		}
	}
	return nil
}
