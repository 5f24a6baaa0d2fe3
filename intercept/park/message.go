package park

import (
	"encoding/binary"
	"iter"
	"syscall"

	"golang.org/x/sys/unix"
)

// Of linux/netfilter/nfnetlink_queue.h. A queue's life on its socket:
//
//	us -> kernel  CONFIG   CMD_BIND, then PARAMS, QUEUE_MAXLEN
//	kernel -> us  PACKET   PACKET_HDR (id), MARK, PAYLOAD
//	us -> kernel  VERDICT  VERDICT_HDR (verdict, id), MARK when it changes
//	kernel -> us  ERROR    ENOENT when that packet is gone
const (
	msgPacket       = 0 // NFQNL_MSG_PACKET
	msgVerdict      = 1 // NFQNL_MSG_VERDICT
	msgConfig       = 2 // NFQNL_MSG_CONFIG
	msgVerdictBatch = 3 // NFQNL_MSG_VERDICT_BATCH: all packets up to and with an id

	attrPacketHeader  = 1  // NFQA_PACKET_HDR: be32 id, be16 protocol, u8 hook
	attrVerdictHeader = 2  // NFQA_VERDICT_HDR: be32 verdict, be32 id
	attrMark          = 3  // NFQA_MARK: be32
	attrPayload       = 10 // NFQA_PAYLOAD
)

// Of linux/netfilter.h.
const (
	verdictDrop   = 0 // NF_DROP
	verdictAccept = 1 // NF_ACCEPT
	verdictRepeat = 4 // NF_REPEAT: through the same chain again
)

const (
	netlinkHeader  = unix.SizeofNlMsghdr
	nfgenLength    = 4 // struct nfgenmsg: family, version, be16 res_id (the queue)
	attrHeader     = unix.SizeofNlAttr
	netlinkAlign   = 4
	attrTypeMask   = 0x3fff // NLA_TYPE_MASK: without NLA_F_NESTED and NLA_F_NET_BYTEORDER
	maxVerdictSize = netlinkHeader + nfgenLength + attrHeader + 8 + attrHeader + 4
)

// message is one netlink message of a queue.
type message struct {
	errno   syscall.Errno // not 0: the kernel refused something; nothing else is valid
	hasID   bool
	id      uint32 // valid iff hasID
	mark    uint32
	payload []byte // part of the decoded buffer
}

// messages yields the packets and errors in a datagram from the kernel. It
// ends at the first malformed message and leaves out other kinds.
func messages(b []byte) iter.Seq[message] {
	return func(yield func(message) bool) {
		for len(b) >= netlinkHeader {
			length := int(binary.NativeEndian.Uint32(b))
			if length < netlinkHeader || length > len(b) {
				return
			}
			kind := binary.NativeEndian.Uint16(b[4:])
			m, ok := decodeMessage(kind, b[netlinkHeader:length])
			if ok && !yield(m) {
				return
			}
			b = b[min(align(length), len(b)):]
		}
	}
}

func decodeMessage(kind uint16, body []byte) (message, bool) {
	switch kind {
	case unix.NLMSG_ERROR:
		if len(body) < 4 {
			return message{}, false
		}
		errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(body)))
		return message{errno: errno}, errno != 0 // 0 is an acknowledgement
	case unix.NFNL_SUBSYS_QUEUE<<8 | msgPacket:
		if len(body) < nfgenLength {
			return message{}, false
		}
		m := decodePacketAttrs(body[nfgenLength:])
		return m, m.hasID
	default:
		return message{}, false
	}
}

func decodePacketAttrs(b []byte) message {
	var m message
	for len(b) >= attrHeader {
		length := int(binary.NativeEndian.Uint16(b))
		if length < attrHeader || length > len(b) {
			return m
		}
		kind, value := binary.NativeEndian.Uint16(b[2:])&attrTypeMask, b[attrHeader:length]
		switch {
		case kind == attrPacketHeader && len(value) >= 4:
			m.id, m.hasID = binary.BigEndian.Uint32(value), true
		case kind == attrMark && len(value) >= 4:
			m.mark = binary.BigEndian.Uint32(value)
		case kind == attrPayload:
			m.payload = value
		}
		b = b[min(align(length), len(b)):]
	}
	return m
}

// verdict is what becomes of a packet.
type verdict struct {
	code    uint32
	setMark bool
	mark    uint32 // valid iff setMark
}

// appendVerdict adds a message that gives v on a packet, or with kind
// msgVerdictBatch on all packets up to id.
func appendVerdict(b []byte, kind uint16, queue uint16, id uint32, v verdict) []byte {
	start := len(b)
	b = appendHeader(b, queue)
	b = appendAttrHeader(b, attrVerdictHeader, 8)
	b = binary.BigEndian.AppendUint32(b, v.code)
	b = binary.BigEndian.AppendUint32(b, id)
	if v.setMark {
		b = appendAttrHeader(b, attrMark, 4)
		b = binary.BigEndian.AppendUint32(b, v.mark)
	}
	finish(b[start:], kind)
	return b
}

// appendConfig adds a message that sets one attribute of a queue.
func appendConfig(b []byte, queue uint16, attr uint16, value []byte) []byte {
	start := len(b)
	b = appendHeader(b, queue)
	b = appendAttrHeader(b, attr, len(value))
	b = append(b, value...)
	b = append(b, make([]byte, align(len(value))-len(value))...)
	finish(b[start:], msgConfig)
	return b
}

// appendHeader begins a message to a queue; finish ends it.
func appendHeader(b []byte, queue uint16) []byte {
	b = append(b, make([]byte, netlinkHeader)...)
	b = append(b, unix.AF_UNSPEC, unix.NFNETLINK_V0)
	return binary.BigEndian.AppendUint16(b, queue)
}

func appendAttrHeader(b []byte, attr uint16, length int) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrHeader+length))
	return binary.NativeEndian.AppendUint16(b, attr)
}

func finish(message []byte, kind uint16) {
	binary.NativeEndian.PutUint32(message, uint32(len(message)))
	binary.NativeEndian.PutUint16(message[4:], unix.NFNL_SUBSYS_QUEUE<<8|kind)
	binary.NativeEndian.PutUint16(message[6:], unix.NLM_F_REQUEST)
}

func align(n int) int { return (n + netlinkAlign - 1) &^ (netlinkAlign - 1) }
