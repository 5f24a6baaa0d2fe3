package park

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// packetMessage builds what the kernel sends for a packet, with another encoder.
func packetMessage(t testing.TB, attrs ...netlink.Attribute) []byte {
	t.Helper()
	body, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		t.Fatal(err)
	}
	return rawMessage(unix.NFNL_SUBSYS_QUEUE<<8|msgPacket, append([]byte{unix.AF_INET, 0, 0, 7}, body...))
}

func rawMessage(kind uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(netlinkHeader+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, make([]byte, 10)...)
	b = append(b, body...)
	return append(b, make([]byte, align(len(b))-len(b))...)
}

func errorMessage(errno int32) []byte {
	body := binary.NativeEndian.AppendUint32(nil, uint32(-errno))
	return rawMessage(unix.NLMSG_ERROR, append(body, make([]byte, 16)...))
}

func idAttr(id uint32) netlink.Attribute {
	return netlink.Attribute{Type: attrPacketHeader, Data: append(binary.BigEndian.AppendUint32(nil, id), 8, 0, 3)}
}

func TestMessages(t *testing.T) {
	mark := netlink.Attribute{Type: attrMark, Data: binary.BigEndian.AppendUint32(nil, 0x02000001)}
	payload := netlink.Attribute{Type: attrPayload, Data: []byte("syn")}
	unknown := netlink.Attribute{Type: 99, Data: []byte("later kernels")}
	whole := packetMessage(t, idAttr(5), mark, unknown, payload)
	five := message{hasID: true, id: 5, mark: 0x02000001, payload: []byte("syn")}
	tests := map[string]struct {
		datagram []byte
		want     []message
	}{
		"a packet":            {whole, []message{five}},
		"no mark":             {packetMessage(t, payload, idAttr(6)), []message{{hasID: true, id: 6, payload: []byte("syn")}}},
		"no id":               {packetMessage(t, mark, payload), nil},
		"two messages":        {slices.Concat(errorMessage(2), whole), []message{{errno: unix.ENOENT}, five}},
		"an acknowledgement":  {errorMessage(0), nil},
		"another kind":        {rawMessage(unix.NLMSG_DONE, make([]byte, 4)), nil},
		"cut":                 {whole[:len(whole)-1], nil},
		"only a header":       {rawMessage(unix.NFNL_SUBSYS_QUEUE<<8|msgPacket, nil), nil},
		"a length of nothing": {make([]byte, 64), nil},
		"empty":               {nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := slices.Collect(messages(test.datagram))
			same := func(a, b message) bool {
				return a.errno == b.errno && a.hasID == b.hasID && a.id == b.id && a.mark == b.mark && bytes.Equal(a.payload, b.payload)
			}
			if !slices.EqualFunc(got, test.want, same) {
				t.Errorf("messages = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestAppendVerdict(t *testing.T) {
	b := appendVerdict(nil, msgVerdict, 7, 9, verdict{code: verdictAccept})
	b = appendVerdict(b, msgVerdict, 7, 10, verdict{code: verdictRepeat, setMark: true, mark: 0x04000000})
	accept, refuse := b[:32], b[32:]
	if len(refuse) != maxVerdictSize {
		t.Errorf("a verdict with a mark has %d bytes, want %d", len(refuse), maxVerdictSize)
	}
	if got := binary.NativeEndian.Uint32(accept); got != 32 {
		t.Errorf("the first message says %d bytes, want 32", got)
	}
	attrs, err := netlink.UnmarshalAttributes(refuse[netlinkHeader+nfgenLength:])
	if err != nil {
		t.Fatal(err)
	}
	want := []netlink.Attribute{
		{Length: 12, Type: attrVerdictHeader, Data: []byte{0, 0, 0, 4, 0, 0, 0, 10}},
		{Length: 8, Type: attrMark, Data: []byte{4, 0, 0, 0}},
	}
	same := func(a, b netlink.Attribute) bool {
		return a.Length == b.Length && a.Type == b.Type && bytes.Equal(a.Data, b.Data)
	}
	if !slices.EqualFunc(attrs, want, same) {
		t.Errorf("attributes = %+v, want %+v", attrs, want)
	}
}

func TestMarks(t *testing.T) {
	tests := map[string]struct {
		hold, mask uint32
		refuse     uint32 // 0: not allowed
	}{
		"defaults":             {0, 0, 0x04000000},
		"own bits":             {0x1, 0x3, 0x2},
		"hold outside of mask": {0x4, 0x3, 0},
		"no bit to refuse":     {0x3, 0x3, 0},
		"no hold":              {0, 0x3, 0},
		"no mask":              {0x1, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := newMarks(test.hold, test.mask)
			if (err == nil) != (test.refuse != 0) || m.refuse != test.refuse {
				t.Errorf("newMarks = %+v, %v; want refuse %#x", m, err, test.refuse)
			}
		})
	}
	if got := MarkFor(0xff0000ff); got != 0xfb0000ff {
		t.Errorf("MarkFor keeps foreign bits only: %#x", got)
	}
}

func TestQueueOf(t *testing.T) {
	for name, want := range map[string]int{
		"upall-47100": 47100, "upall-": -1, "upall-70000": -1, "upall-x": -1, "filter": -1, "upall--1": -1,
	} {
		number, ok := queueOf(name)
		if ok != (want >= 0) || (ok && int(number) != want) {
			t.Errorf("queueOf(%q) = %d, %v; want %d", name, number, ok, want)
		}
	}
	if number, ok := queueOf(tableName(8)); !ok || number != 8 {
		t.Errorf("queueOf(tableName(8)) = %d, %v", number, ok)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(packetMessage(f, idAttr(5), netlink.Attribute{Type: attrPayload, Data: ipv4SYN(0)}))
	f.Add(errorMessage(2))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		for m := range messages(b) {
			total += netlinkHeader + len(m.payload)
			if m.errno == 0 && !m.hasID {
				t.Error("a message without meaning")
			}
			decodeTCP(m.payload)
		}
		if total > len(b) {
			t.Errorf("%d bytes decoded of %d", total, len(b))
		}
	})
}
