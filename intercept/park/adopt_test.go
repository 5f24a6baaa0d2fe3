package park

import (
	"encoding/binary"
	"slices"
	"testing"
)

// tcp is an IPv4 packet with the source port and the TCP flags.
func tcp(id uint32, port uint16, flags byte) message {
	b := make([]byte, 40)
	b[0], b[9] = 0x45, 6
	binary.BigEndian.PutUint16(b[20:], port)
	b[20+flagsOffset] = flags
	return message{id: id, hasID: true, payload: b}
}

// TestNewest: of one connection only the newest packet is handed on, in order. What
// is not understood is, each.
func TestNewest(t *testing.T) {
	unknown := message{id: 5, hasID: true, payload: []byte{0}}
	other := message{id: 9, hasID: true, payload: []byte{0}}
	left, old := newest([]message{
		tcp(1, 100, synFlag), tcp(2, 200, synFlag), tcp(3, 100, synFlag), tcp(4, 100, rstFlag|ackFlag),
		unknown, tcp(6, 300, synFlag), tcp(7, 100, synFlag), other,
	})
	var ids []uint32
	for _, m := range left {
		ids = append(ids, m.id)
	}
	if want := []uint32{2, 4, 5, 6, 7, 9}; !slices.Equal(ids, want) {
		t.Errorf("handed on %v, want %v", ids, want)
	}
	if want := []uint32{1, 3}; !slices.Equal(old, want) {
		t.Errorf("dropped %v, want %v", old, want)
	}
}

// TestAllIDs: the ids of verdictOnAll reach every packet wherever the ids are, by the
// kernel's rule (nfqnl_recv_verdict_batch): from the oldest on, until one is after
// the message's, as int32(id-last) > 0.
func TestAllIDs(t *testing.T) {
	for _, first := range []uint32{1, 1000, 1<<31 - 50, 1<<31 - 1, 1 << 31, 1<<32 - 50, 1<<32 - 1, 0} {
		var queued []uint32
		for i := range uint32(100) {
			queued = append(queued, first+i)
		}
		for _, last := range allIDs {
			n := slices.IndexFunc(queued, func(id uint32) bool { return int32(id-last) > 0 })
			if n < 0 {
				n = len(queued)
			}
			queued = queued[n:]
		}
		if len(queued) > 0 {
			t.Errorf("from %d on, %d packets are left", first, len(queued))
		}
	}
}
