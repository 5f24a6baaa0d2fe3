package intercept

import (
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"upall/intercept/seccomp"
	"upall/internal/linux"
)

// Ports that need privilege are remapped to the first free one above.
const (
	remapBase  = 10000
	remapTries = 100
)

func remap(at netip.AddrPort, offset int) netip.AddrPort {
	return netip.AddrPortFrom(at.Addr(), at.Port()+remapBase+uint16(offset))
}

// bind gives the instance its own address for a wildcard or loopback one, so
// that two services may listen on the same port.
func (s *source) bind(n *seccomp.Notification, at netip.AddrPort, family int) {
	if !s.instance.Rewrite || at.Port() == 0 || !s.isRewritten(at.Addr()) {
		s.proceed(n.ID)
		return
	}
	sock := s.socket(n, func(sock *linux.Socket) bool { return sock.Family == family })
	if sock == nil {
		return
	}
	defer s.discard(sock)
	own := netip.AddrPortFrom(s.instance.Addrs[0], at.Port())
	switch {
	case sock.IsTCP():
		errno := s.bindTCP(sock, own)
		s.record(s.instance)
		s.reply(n.ID, errno)
	case sock.IsUDP() && slices.Contains(s.instance.UDPPorts, at.Port()):
		errno := s.bindAt(sock, own)
		if errno == 0 {
			s.boundUDP(own)
			s.record(s.instance)
		}
		s.reply(n.ID, errno)
	default:
		s.proceed(n.ID) // not declared: it may be a client's, and talk to anyone
	}
}

func (s *source) isRewritten(addr netip.Addr) bool {
	_, ours := s.routes.Load().project[addr]
	// Its own address too, for the early listener has that.
	return addr.IsUnspecified() || (addr.IsLoopback() && !ours) || addr == s.instance.Addrs[0]
}

func (s *source) bindTCP(sock *linux.Socket, own netip.AddrPort) unix.Errno {
	if s.early[own] == nil {
		return s.bindNow(sock, own)
	}
	if s.isV6Only(sock) && s.isTaken(own) {
		return s.bindSecond(sock, own)
	}
	return s.promise(sock, own)
}

// isV6Only tells whether the program has made its socket one for IPv6 alone, which
// bindAt may have changed.
func (i *Interceptor) isV6Only(sock *linux.Socket) bool {
	if sock.Family != unix.AF_INET6 {
		return false
	}
	cookie, err := sock.Cookie()
	return sock.IsV6Only() || (err == nil && i.cleared[cookie] != nil)
}

// bindNow binds to the instance's own address. One that listens on IPv4 and,
// apart, on IPv6 needs two places: the later socket gets the second one.
func (s *source) bindNow(sock *linux.Socket, own netip.AddrPort) unix.Errno {
	v6only := s.isV6Only(sock)
	errno := s.bindAt(sock, own)
	switch {
	case errno == 0:
		s.places[own] = v6only
	case errno == unix.EADDRINUSE && (v6only || s.places[own]):
		errno = s.bindSecond(sock, own)
	}
	for offset := 0; errno == unix.EACCES && offset < remapTries; offset++ {
		actual := remap(own, offset)
		switch errno = s.bindAt(sock, actual); errno {
		case 0:
			s.remapped[own], s.places[own] = actual, v6only
		case unix.EADDRINUSE:
			errno = unix.EACCES
		}
	}
	if errno == unix.EINVAL && s.isBoundAgain(sock, own) {
		return 0
	}
	return errno
}

func (s *source) bindSecond(sock *linux.Socket, own netip.AddrPort) unix.Errno {
	errno := s.bindAt(sock, netip.AddrPortFrom(s.instance.Second, own.Port()))
	if errno == unix.EINVAL && s.isBoundAgain(sock, own) {
		return 0
	}
	return errno
}

// isBoundAgain tells whether the call is one that an earlier process has performed
// and not answered: then it notes where it has bound the socket.
func (s *source) isBoundAgain(sock *linux.Socket, own netip.AddrPort) bool {
	if s.redo == nil {
		return false
	}
	local, err := sock.LocalAddr()
	if err != nil || local.Port() == 0 || !slices.Contains([]netip.Addr{own.Addr(), s.instance.Second}, local.Addr()) {
		return false
	}
	if local.Addr() == own.Addr() {
		s.places[own] = s.isV6Only(sock)
		if local.Port() != own.Port() {
			s.remapped[own] = local
		}
	}
	return true
}

// promise answers a bind whose socket is to become the early listener, if it is
// the first to listen: programs probe a port before they use it, and have
// several workers bind the same.
func (s *source) promise(sock *linux.Socket, own netip.AddrPort) unix.Errno {
	cookie, err := sock.Cookie()
	if err != nil {
		return linux.Errno(err, unix.EIO)
	}
	s.bound[cookie] = own
	return 0
}

// forgetBinds drops what was promised to the sockets of an instance that ended.
func (i *Interceptor) forgetBinds(n *instance) {
	for cookie, at := range i.bound {
		if slices.Contains(n.Addrs, at.Addr()) {
			delete(i.bound, cookie)
			delete(i.takers, cookie)
		}
	}
	n.listens = nil
	maps.DeleteFunc(i.told, func(t toldPort, _ bool) bool { return t.of == n })
	maps.DeleteFunc(i.cleared, func(_ uint64, of *instance) bool { return of == n })
	maps.DeleteFunc(i.places, func(at netip.AddrPort, _ bool) bool { return slices.Contains(n.Addrs, at.Addr()) })
	maps.DeleteFunc(i.udpBound, func(at netip.AddrPort, _ bool) bool { return slices.Contains(n.Addrs, at.Addr()) })
}

// isTaken tells whether a socket of the instance is to become the early listener
// at the endpoint.
func (s *source) isTaken(own netip.AddrPort) bool {
	for _, at := range s.bound {
		if at == own {
			return true
		}
	}
	return false
}

func (s *source) bindAt(sock *linux.Socket, at netip.AddrPort) unix.Errno {
	if sock.Family == unix.AF_INET6 && sock.IsV6Only() {
		if cookie, err := sock.Cookie(); err == nil {
			s.cleared[cookie] = s.instance
			s.record(s.instance)
		}
		s.logIf("open an IPv6 socket to IPv4", sock.ClearV6Only())
	}
	if sock.IsTCP() {
		// As in a container, whose namespace is new: connections of the last run
		// that the kernel still remembers must not keep the service from its port.
		s.logIf("let a port be used again", sock.ReuseAddr())
	}
	err := sock.Bind(at)
	if err == nil {
		return 0
	}
	errno := linux.Errno(err, unix.EIO)
	if errno == unix.EINVAL && sock.IsUDP() && s.isBoundAgain(sock, at) {
		return 0
	}
	return errno
}
