package intercept

import (
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
	s.listens(n, s.logical(local))
}

// logical is the endpoint that a listener on local stands for.
func (s *source) logical(local netip.AddrPort) netip.AddrPort {
	for at, actual := range s.remapped {
		if actual == local {
			return at
		}
	}
	return local
}

// listens tells of a listener.
func (s *source) listens(n *seccomp.Notification, at netip.AddrPort) {
	i := s.instance
	if first := netip.AddrPortFrom(i.Addrs[0], at.Port()); !s.told[first] { // not again for IPv6
		s.told[first] = true
		s.tell(event.Event{Type: event.Listening, Instance: i.Name, Port: at.Port()})
	}
	probe, ok := serve.For(linux.ProgramNames(int(n.PID))...)
	if ok {
		s.serveProbes[i] = probe
	}
	s.step(registry.Listened{Instance: i.Name, At: at, Probe: ok})
}

// probe waits until the listener serves.
func (i *Interceptor) probe(at netip.AddrPort) {
	n := i.instanceAt(at.Addr())
	if n == nil {
		return
	}
	ctx, probe, actual := n.probes, i.serveProbes[n], i.real(at)
	i.work.Go(func() {
		if err := serve.Wait(ctx, probe, actual, 0); err != nil {
			return // the instance has ended
		}
		i.post(func() {
			if ctx.Err() == nil {
				i.step(registry.Served{At: at})
			}
		})
	})
}

func (i *Interceptor) instanceAt(addr netip.Addr) *instance {
	for _, n := range i.instances {
		if slices.Contains(n.Addrs, addr) {
			return n
		}
	}
	return nil
}
