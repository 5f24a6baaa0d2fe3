package intercept

import (
	"net/netip"
	"slices"

	"upall/intercept/registry"
	"upall/intercept/sockdiag"
	"upall/internal/linux"
)

// listeners are those of a space, by inode; ok is false where it cannot be told.
func (i *Interceptor) listeners(s *space) (all map[uint64]sockdiag.Socket, ok bool) {
	diag, err := s.dial()
	if err != nil {
		return nil, false
	}
	sockets, err := diag.Listeners()
	if err != nil {
		i.log.Warn("look for listeners", "error", err)
		return nil, false
	}
	all = make(map[uint64]sockdiag.Socket, len(sockets))
	for _, sock := range sockets {
		all[uint64(sock.Inode)] = sock
	}
	return all, true
}

// checkListeners compares what the ledger says of an instance with the kernel: what
// was closed meanwhile is told of, as is what no one was told of.
func (i *Interceptor) checkListeners(n *instance, life registry.Life) {
	if n.space == nil || len(n.listens) == 0 {
		return
	}
	there, ok := i.listeners(n.space)
	for _, l := range slices.Clone(n.listens) {
		if _, is := there[l.Inode]; ok && !is {
			n.listens = slices.DeleteFunc(n.listens, func(other listening) bool { return other == l })
			i.closedMeanwhile(n, l)
			continue
		}
		if !i.told[toldPort{n, l.At.Port()}] || !slices.Contains(life.Listeners, registry.Listener{At: l.At, V6Only: l.V6Only}) {
			i.listens(n, l)
		}
	}
}

// closedMeanwhile tells of a listener that is not there any more, at each address
// at which it was.
func (i *Interceptor) closedMeanwhile(n *instance, l listening) {
	addrs := append(slices.Clone(n.Addrs), n.Loopback)
	for _, a := range addrs {
		at := netip.AddrPortFrom(a, l.At.Port())
		if (l.At.Addr() == a || l.At.Addr().IsUnspecified()) && i.registry.Listener(at) == n.Name {
			i.step(registry.Unlistened{At: at})
		}
	}
}

// findListeners tells of listeners of which the ledger did not know, where it is
// clear whose they are.
func (i *Interceptor) findListeners() {
	for _, s := range i.spaces {
		if s.sources == 0 {
			continue
		}
		there, _ := i.listeners(s)
		for inode, sock := range there {
			if n := i.ownerOf(s, sock.Local); n != nil && !i.isListener(n, inode) {
				i.found(n, sock)
			}
		}
	}
}

// ownerOf is the only instance of the space that may have a listener there, nil if
// there are none or several.
func (i *Interceptor) ownerOf(s *space, local netip.AddrPort) (owner *instance) {
	for _, n := range i.instances {
		if n.space != s || !n.isRunning {
			continue
		}
		if n.Rewrite && !slices.Contains(n.Addrs, local.Addr()) {
			continue
		}
		if owner != nil || (s.ns == nil && !n.Rewrite) || local.Addr() == engineDNS {
			return nil
		}
		owner = n
	}
	return owner
}

// isListener tells whether the socket is one of the instance's that is known, or an
// early listener.
func (i *Interceptor) isListener(n *instance, inode uint64) bool {
	for _, e := range i.early {
		if own, err := e.sock.Inode(); err == nil && own == inode {
			return true
		}
	}
	return slices.ContainsFunc(n.listens, func(l listening) bool { return l.Inode == inode })
}

func (i *Interceptor) found(n *instance, sock sockdiag.Socket) {
	n.noteLoopback(i.loopbacks, sock.Local, false)
	l := listening{At: i.logical(n, sock.Local), Inode: uint64(sock.Inode)}
	if pid, _, ok := sockdiag.Owner(sock.Inode); ok {
		n.notePrograms(&l, linux.ProgramNames(pid))
	}
	n.noteListening(l)
	i.listens(n, l)
}

// loopbackOf is the loopback that the client of a hold knows.
func (i *Interceptor) loopbackOf(h *hold) (addr netip.Addr) {
	if h.source != nil {
		addr = h.source.instance.Loopback
	}
	return addr
}
