package park

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Packet is a SYN that waits for a verdict.
type Packet struct {
	ID   uint32         // names the packet in a verdict; unique for 2^32 packets
	Src  netip.AddrPort // the client
	Dst  netip.AddrPort // where it connects to, before any NAT; a v4-mapped target is IPv4 here
	Mark uint32         // the whole mark, other people's bits included
}

// What is read of a TCP header (RFC 9293, 3.1), in bytes from its start.
const (
	portsLength = 4
	flagsOffset = 13
)

// Flags of a TCP header.
const (
	synFlag = 0x02
	rstFlag = 0x04
	ackFlag = 0x10
)

// decodeTCP reads the addresses and ports of a TCP packet that begins with its
// IP header, and whether it is a reset. ok is false when b holds something else or ends too early.
func decodeTCP(b []byte) (src, dst netip.AddrPort, isReset, ok bool) {
	if len(b) == 0 {
		return src, dst, false, false
	}
	switch b[0] >> 4 {
	case 4:
		return decodeIPv4(b)
	case 6:
		return decodeIPv6(b)
	default:
		return src, dst, false, false
	}
}

// decodeIPv4 reads a packet as of RFC 791, 3.1.
func decodeIPv4(b []byte) (src, dst netip.AddrPort, isReset, ok bool) {
	const minHeader = 20
	if len(b) < minHeader {
		return src, dst, false, false
	}
	header := int(b[0]&0x0f) * 4
	fragment := binary.BigEndian.Uint16(b[6:]) & 0x1fff
	if header < minHeader || fragment != 0 || b[9] != unix.IPPROTO_TCP || len(b) < header+portsLength {
		return src, dst, false, false
	}
	from, to := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	return withPorts(from, to, b[header:])
}

// decodeIPv6 reads a packet as of RFC 8200, 3 and 4, past its extension headers.
func decodeIPv6(b []byte) (src, dst netip.AddrPort, isReset, ok bool) {
	const header = 40
	if len(b) < header {
		return src, dst, false, false
	}
	from, to := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	next, rest := b[6], b[header:]
	for next != unix.IPPROTO_TCP {
		length, known := extensionLength(next, rest)
		if !known || length > len(rest) {
			return src, dst, false, false
		}
		next, rest = rest[0], rest[length:]
	}
	if len(rest) < portsLength {
		return src, dst, false, false
	}
	return withPorts(from, to, rest)
}

// extensionLength returns the length in bytes, never 0, of the extension
// header at the start of b. It is false for one that is unknown or cut.
func extensionLength(kind uint8, b []byte) (int, bool) {
	if len(b) < 8 { // no extension header is shorter
		return 0, false
	}
	switch kind {
	case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
		return (int(b[1]) + 1) * 8, true
	case unix.IPPROTO_AH: // RFC 4302, 2.2: in 4 byte words, less two
		return (int(b[1]) + 2) * 4, true
	case unix.IPPROTO_FRAGMENT:
		first := binary.BigEndian.Uint16(b[2:])&0xfff8 == 0
		return 8, first // only a first fragment holds the ports
	default:
		return 0, false
	}
}

func withPorts(from, to netip.Addr, tcp []byte) (src, dst netip.AddrPort, isReset, ok bool) {
	src = netip.AddrPortFrom(from, binary.BigEndian.Uint16(tcp))
	dst = netip.AddrPortFrom(to, binary.BigEndian.Uint16(tcp[2:]))
	isReset = len(tcp) > flagsOffset && tcp[flagsOffset]&rstFlag != 0
	return src, dst, isReset, true
}
