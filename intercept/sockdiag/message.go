package sockdiag

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Socket states, of linux/tcp_states.h.
const (
	StateSynSent uint8 = unix.BPF_TCP_SYN_SENT
	StateListen  uint8 = unix.BPF_TCP_LISTEN
	stateClose   uint8 = unix.BPF_TCP_CLOSE // of a UDP socket that is not connected
)

// Socket is one TCP or UDP socket.
type Socket struct {
	Local, Remote netip.AddrPort // a v4-mapped address is given as IPv4
	State         uint8          // StateListen, StateSynSent
	Inode         uint32         // as in "socket:[inode]"; 0 when no process has it open
	UID           uint32         // of its creator, as the caller's user namespace numbers it
	Cookie        uint64         // SO_COOKIE
}

// Sizes of linux/inet_diag.h and linux/netlink.h, in bytes.
const (
	netlinkHeader = unix.SizeofNlMsghdr
	requestLength = netlinkHeader + 56 // struct inet_diag_req_v2
	answerLength  = 72                 // struct inet_diag_msg
	netlinkAlign  = 4
)

// anyCookie is INET_DIAG_NOCOOKIE: match a socket by its addresses alone.
const anyCookie = ^uint64(0)

// request asks for one socket, or for all in some states.
type request struct {
	sequence uint32 // comes back in each message of the answer
	family   uint8
	isUDP    bool   // else TCP
	states   uint32 // bits 1<<state; for a dump
	local    netip.AddrPort
	dump     bool
	counts   bool // ask for what has gone over each, too
}

// appendRequest adds r as a message. struct inet_diag_req_v2 is: u8 family,
// protocol, ext, pad; u32 states; then struct inet_diag_sockid: be16 sport,
// dport; be32 src[4], dst[4]; u32 if; u32 cookie[2].
func appendRequest(b []byte, r request) []byte {
	start := len(b)
	b = append(b, make([]byte, requestLength)...)
	m := b[start:]
	flags := uint16(unix.NLM_F_REQUEST)
	if r.dump {
		flags |= unix.NLM_F_DUMP
	}
	binary.NativeEndian.PutUint32(m, requestLength)
	binary.NativeEndian.PutUint16(m[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(m[6:], flags)
	binary.NativeEndian.PutUint32(m[8:], r.sequence)
	m = m[netlinkHeader:]
	m[0], m[1] = r.family, unix.IPPROTO_TCP
	if r.isUDP {
		m[1] = unix.IPPROTO_UDP
	}
	if r.counts {
		m[2] = 1 << (diagInfo - 1)
	}
	binary.NativeEndian.PutUint32(m[4:], r.states)
	binary.BigEndian.PutUint16(m[8:], r.local.Port())
	if addr := r.local.Addr(); addr.Is4() {
		a := addr.As4()
		copy(m[12:], a[:])
	} else if addr.Is6() {
		a := addr.As16()
		copy(m[12:], a[:])
	}
	binary.NativeEndian.PutUint64(m[48:], anyCookie)
	return b
}

// answer is one netlink message of the kernel.
type answer struct {
	sequence uint32        // of the request
	done     bool          // the end of a dump
	errno    syscall.Errno // not 0: the kernel refused; nothing below is valid
	socket   Socket
	// Of a listener: connections that wait for accept(2), and how many more
	// than one may. Else: bytes in the receive and the send queue.
	receiveQueue, sendQueue uint32
	counts                  counts
	hasCounts               bool // the kernel has told them
}

// answers yields what is in a datagram from the kernel. It ends at the first
// malformed message and leaves out other kinds.
func answers(b []byte) iter.Seq[answer] {
	return func(yield func(answer) bool) {
		for {
			a, rest, ok := nextAnswer(b)
			if !ok || !yield(a) {
				return
			}
			b = rest
		}
	}
}

// nextAnswer decodes the first message of b that is an answer.
func nextAnswer(b []byte) (a answer, rest []byte, ok bool) {
	for len(b) >= netlinkHeader {
		length := int(binary.NativeEndian.Uint32(b))
		if length < netlinkHeader || length > len(b) {
			return answer{}, nil, false
		}
		kind, sequence, body := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:]), b[netlinkHeader:length]
		b = b[min((length+netlinkAlign-1)&^(netlinkAlign-1), len(b)):]
		if a, ok := decodeAnswer(kind, body); ok {
			a.sequence = sequence
			return a, b, true
		}
	}
	return answer{}, nil, false
}

func decodeAnswer(kind uint16, body []byte) (answer, bool) {
	switch kind {
	case unix.NLMSG_DONE:
		return answer{done: true, errno: errnoOf(body)}, true
	case unix.NLMSG_ERROR:
		errno := errnoOf(body)
		return answer{errno: errno}, errno != 0
	case unix.SOCK_DIAG_BY_FAMILY:
		return decodeSocket(body)
	default:
		return answer{}, false
	}
}

// errnoOf reads the negative error number at the start of a message.
func errnoOf(body []byte) syscall.Errno {
	if len(body) < 4 {
		return 0
	}
	return syscall.Errno(-int32(binary.NativeEndian.Uint32(body)))
}

// decodeSocket reads struct inet_diag_msg: u8 family, state, timer, retrans;
// struct inet_diag_sockid (48 bytes); u32 expires, rqueue, wqueue, uid, inode.
func decodeSocket(b []byte) (answer, bool) {
	if len(b) < answerLength {
		return answer{}, false
	}
	var local, remote netip.Addr
	switch b[0] {
	case unix.AF_INET:
		local, remote = netip.AddrFrom4([4]byte(b[8:12])), netip.AddrFrom4([4]byte(b[24:28]))
	case unix.AF_INET6:
		local, remote = netip.AddrFrom16([16]byte(b[8:24])).Unmap(), netip.AddrFrom16([16]byte(b[24:40])).Unmap()
	default:
		return answer{}, false
	}
	c, hasCounts := findCounts(b[answerLength:])
	return answer{
		counts: c, hasCounts: hasCounts,
		socket: Socket{
			Local:  netip.AddrPortFrom(local, binary.BigEndian.Uint16(b[4:])),
			Remote: netip.AddrPortFrom(remote, binary.BigEndian.Uint16(b[6:])),
			State:  b[1],
			// The cookie is two u32 in host order, the low one first.
			Cookie: uint64(binary.NativeEndian.Uint32(b[44:])) | uint64(binary.NativeEndian.Uint32(b[48:]))<<32,
			UID:    binary.NativeEndian.Uint32(b[64:]),
			Inode:  binary.NativeEndian.Uint32(b[68:]),
		},
		receiveQueue: binary.NativeEndian.Uint32(b[56:]),
		sendQueue:    binary.NativeEndian.Uint32(b[60:]),
	}, true
}
