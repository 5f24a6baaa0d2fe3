package linux

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sizes of the socket addresses of ip(7) and ipv6(7), in bytes.
const (
	SizeofSockaddrIn  = unix.SizeofSockaddrInet4
	SizeofSockaddrIn6 = unix.SizeofSockaddrInet6
	minSockaddrIn6    = 24 // without sin6_scope_id: SIN6_LEN_RFC2133 of the kernel

	// SizeofSockaddrStorage bounds every socket address.
	SizeofSockaddrStorage = 128
)

// DecodeSockaddr returns the address and the family of a struct sockaddr.
// The address is valid for AF_INET and AF_INET6 alone; IPv4-mapped addresses
// are returned as they are. Any bytes are accepted.
func DecodeSockaddr(b []byte) (addr netip.AddrPort, family uint16) {
	if len(b) < 2 {
		return netip.AddrPort{}, unix.AF_UNSPEC
	}
	family = binary.NativeEndian.Uint16(b)
	switch {
	case family == unix.AF_INET && len(b) >= SizeofSockaddrIn:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])), family
	case family == unix.AF_INET6 && len(b) >= minSockaddrIn6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), binary.BigEndian.Uint16(b[2:])), family
	}
	return netip.AddrPort{}, family
}

// sockaddrFor gives addr in the form that a socket of the family takes: an
// IPv4 address becomes IPv4-mapped for AF_INET6.
func sockaddrFor(family int, addr netip.AddrPort) (unix.Sockaddr, bool) {
	ip := addr.Addr().Unmap()
	if family == unix.AF_INET6 {
		return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}, true
	}
	if !ip.Is4() {
		return nil, false
	}
	return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}, true
}

func addrPortOf(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
