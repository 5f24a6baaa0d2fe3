package intercept

import (
	"encoding/binary"
	"net/netip"

	"upall/intercept/seccomp"
	"upall/internal/linux"
)

// readAddr reads the IPv4 or IPv6 address that a call of the client is given,
// not IPv4-mapped, and its family. ok is false for other families, for
// unreadable memory, and for lengths that the kernel refuses.
func (s *source) readAddr(n *seccomp.Notification, addr, length uint64) (at netip.AddrPort, family int, ok bool) {
	size := int(int32(length)) // as the kernel takes it
	if size < linux.SizeofSockaddrIn || size > linux.SizeofSockaddrStorage || n.PID == 0 {
		return netip.AddrPort{}, 0, false
	}
	buf := s.sockaddr[:min(size, len(s.sockaddr))]
	read, err := linux.ReadMemory(int(n.PID), uintptr(addr), buf)
	if err != nil {
		return netip.AddrPort{}, 0, false
	}
	ap, f := linux.DecodeSockaddr(buf[:read])
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), int(f), ap.IsValid()
}

// messageName returns where struct msghdr of sendmsg(2) has its address: a
// pointer and a length at its start.
func (s *source) messageName(n *seccomp.Notification) (addr, length uint64) {
	var head [12]byte
	if read, err := linux.ReadMemory(int(n.PID), uintptr(n.Args[1]), head[:]); err != nil || read < len(head) {
		return 0, 0
	}
	size := max(0, int32(binary.NativeEndian.Uint32(head[8:])))
	// Here the kernel cuts what is too long, instead of refusing it.
	return binary.NativeEndian.Uint64(head[:]), min(uint64(size), linux.SizeofSockaddrStorage)
}
