package intercept

import (
	"errors"
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
func (s *source) bind(n *seccomp.Notification, at netip.AddrPort) {
	if !s.instance.Rewrite || at.Port() == 0 || !s.isRewritten(at.Addr()) {
		s.proceed(n.ID)
		return
	}
	sock := s.socket(n, (*linux.Socket).IsIP)
	if sock == nil {
		return
	}
	defer s.discard(sock)
	own := netip.AddrPortFrom(s.instance.Addrs[0], at.Port())
	switch {
	case sock.IsTCP():
		s.reply(n.ID, s.bindTCP(sock, own))
	case sock.IsUDP() && slices.Contains(s.instance.UDPPorts, at.Port()):
		s.reply(n.ID, s.bindAt(sock, own))
		s.boundUDP(own)
	default:
		s.proceed(n.ID) // not declared: it may be a client's, and talk to anyone
	}
}

func (s *source) isRewritten(addr netip.Addr) bool {
	_, ours := s.routes.Load().project[addr]
	return addr.IsUnspecified() || (addr.IsLoopback() && !ours)
}

func (s *source) bindTCP(sock *linux.Socket, own netip.AddrPort) unix.Errno {
	v6only := sock.Family == unix.AF_INET6 && sock.IsV6Only()
	second := netip.AddrPortFrom(s.instance.Second, own.Port())
	if s.early[own] != nil {
		if v6only && s.isTaken(own) {
			return s.bindAt(sock, second)
		}
		return s.promise(sock, own)
	}
	errno := s.bindAt(sock, own)
	if v6only && errno == unix.EADDRINUSE {
		// The instance listens on IPv4 too: this one needs a place of its own.
		errno = s.bindAt(sock, second)
	}
	for offset := 0; errno == unix.EACCES && offset < remapTries; offset++ {
		real := remap(own, offset)
		switch errno = s.bindAt(sock, real); errno {
		case 0:
			s.remapped[own] = real
		case unix.EADDRINUSE:
			errno = unix.EACCES
		}
	}
	return errno
}

// promise answers a bind whose socket is to become the early listener. The newest
// of several wins: programs probe a port before they use it.
func (s *source) promise(sock *linux.Socket, own netip.AddrPort) unix.Errno {
	cookie, err := sock.Cookie()
	if err != nil {
		return linux.Errno(err, unix.EIO)
	}
	maps.DeleteFunc(s.bound, func(_ uint64, at netip.AddrPort) bool { return at == own })
	s.bound[cookie] = own
	return 0
}

// forgetBinds drops what was promised to the sockets of an instance that ended.
func (i *Interceptor) forgetBinds(n *instance) {
	maps.DeleteFunc(i.bound, func(_ uint64, at netip.AddrPort) bool { return slices.Contains(n.Addrs, at.Addr()) })
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
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return unix.EIO
}
