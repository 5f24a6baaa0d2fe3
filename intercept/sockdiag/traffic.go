package sockdiag

import (
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Traffic is a TCP socket and what has gone over it.
type Traffic struct {
	Socket
	// Sent is how many bytes of payload were sent, each counted once, whether they
	// have arrived or not.
	Sent uint64
	// Received is how many bytes have arrived in order. The end of the peer's stream
	// counts as one more. Both are 0 of a socket that was closed with a reset, or
	// disconnected: the kernel forgets them then, and Remote too.
	Received uint64
	RTT      time.Duration // smoothed round trip time, 0 = never measured
}

// connected are the states in which bytes go over a socket, or have.
const connected = 1<<unix.BPF_TCP_ESTABLISHED | 1<<unix.BPF_TCP_CLOSE_WAIT |
	1<<unix.BPF_TCP_FIN_WAIT1 | 1<<unix.BPF_TCP_FIN_WAIT2 | 1<<unix.BPF_TCP_LAST_ACK | 1<<unix.BPF_TCP_CLOSING

// Traffic appends the connected TCP sockets of the namespace to all.
func (c *Conn) Traffic(all []Traffic) ([]Traffic, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err := c.lockedDump(request{family: family, states: connected, dump: true, counts: true}, func(a answer) {
			if a.hasCounts { // not what only waits for stray packets: TIME_WAIT
				all = append(all, a.traffic())
			}
		})
		if err != nil {
			return all, fmt.Errorf("list the connected sockets: %w", err)
		}
	}
	return all, nil
}

func (a answer) traffic() Traffic {
	return Traffic{Socket: a.socket, Sent: a.counts.sent, Received: a.counts.received, RTT: a.counts.rtt}
}

// counts are of struct tcp_info.
type counts struct {
	sent, received uint64
	rtt            time.Duration
}

// Of linux/inet_diag.h and linux/netlink.h.
const (
	diagInfo        = 2 // INET_DIAG_INFO: struct tcp_info, of linux/tcp.h
	attributeHeader = 4 // u16 length, u16 type
)

// Where the fields are in struct tcp_info. The last is there since Linux 4.19.
const (
	rttAt      = unsafe.Offsetof(unix.TCPInfo{}.Rtt) // microseconds
	receivedAt = unsafe.Offsetof(unix.TCPInfo{}.Bytes_received)
	sentAt     = unsafe.Offsetof(unix.TCPInfo{}.Bytes_sent) // of payload, what was sent again too
	againAt    = unsafe.Offsetof(unix.TCPInfo{}.Bytes_retrans)
	infoLength = againAt + 8
)

// findCounts looks for struct tcp_info among the attributes of a socket.
func findCounts(b []byte) (c counts, ok bool) {
	for len(b) >= attributeHeader {
		length, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if length < attributeHeader || length > len(b) {
			return counts{}, false
		}
		if kind == diagInfo {
			return decodeCounts(b[attributeHeader:length])
		}
		b = b[min((length+netlinkAlign-1)&^(netlinkAlign-1), len(b)):]
	}
	return counts{}, false
}

func decodeCounts(info []byte) (c counts, ok bool) {
	if len(info) < int(infoLength) {
		return counts{}, false
	}
	sent, again := binary.NativeEndian.Uint64(info[sentAt:]), binary.NativeEndian.Uint64(info[againAt:])
	return counts{
		sent:     sent - min(again, sent),
		received: binary.NativeEndian.Uint64(info[receivedAt:]),
		rtt:      time.Duration(binary.NativeEndian.Uint32(info[rttAt:])) * time.Microsecond,
	}, true
}
