package park

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// ipv4SYN returns an IPv4 packet with a SYN from 127.0.0.1:4660 to 127.0.0.2:80.
func ipv4SYN(options int) []byte {
	b := make([]byte, 20+options, 60)
	b[0] = 0x40 | byte(5+options/4)
	b[9] = 6
	copy(b[12:], []byte{127, 0, 0, 1, 127, 0, 0, 2})
	return append(b, tcpSYN()...)
}

func tcpSYN() []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, 4660)
	binary.BigEndian.PutUint16(b[2:], 80)
	b[12], b[13] = 5<<4, 0x02
	return b
}

// ipv6SYN returns an IPv6 packet with a SYN from ::1 to fd99::1, port 80,
// behind extension headers, each given by its bytes; kinds has one more.
func ipv6SYN(kinds []byte, headers ...[]byte) []byte {
	b := make([]byte, 40)
	b[0], b[6] = 0x60, kinds[0]
	b[8+15] = 1
	b[24], b[25], b[24+15] = 0xfd, 0x99, 1
	for i, header := range headers {
		header = append([]byte{kinds[i+1]}, header[1:]...)
		b = append(b, header...)
	}
	return append(b, tcpSYN()...)
}

func set(b []byte, at int, value byte) []byte {
	b[at] = value
	return b
}

func TestDecodeTCP(t *testing.T) {
	const v4 = "127.0.0.1:4660 127.0.0.2:80"
	const v6 = "[::1]:4660 [fd99::1]:80"
	longer := set(make([]byte, 16), 1, 1)
	tests := map[string]struct {
		packet []byte
		want   string // empty: not understood
	}{
		"IPv4":                           {ipv4SYN(0), v4},
		"IPv4 with options":              {ipv4SYN(8), v4},
		"IPv4, ports are the last bytes": {ipv4SYN(0)[:24], v4},
		"IPv4, cut in the ports":         {ipv4SYN(0)[:23], ""},
		"IPv4, cut in the header":        {ipv4SYN(0)[:19], ""},
		"IPv4, header shorter than 20":   {set(ipv4SYN(0), 0, 0x44), ""},
		"IPv4, header past the end":      {set(ipv4SYN(0)[:30], 0, 0x4f), ""},
		"IPv4, later fragment":           {set(ipv4SYN(0), 7, 1), ""},
		"IPv4, UDP":                      {set(ipv4SYN(0), 9, 17), ""},
		"IPv6":                           {ipv6SYN([]byte{6}), v6},
		"IPv6, cut":                      {ipv6SYN([]byte{6})[:43], ""},
		"IPv6, UDP":                      {ipv6SYN([]byte{17}), ""},
		"IPv6, hop by hop":               {ipv6SYN([]byte{0, 6}, make([]byte, 8)), v6},
		"IPv6, two extension headers":    {ipv6SYN([]byte{60, 43, 6}, make([]byte, 8), longer), v6},
		"IPv6, authentication header":    {ipv6SYN([]byte{51, 6}, set(make([]byte, 24), 1, 4)), v6},
		"IPv6, first fragment":           {ipv6SYN([]byte{44, 6}, set(make([]byte, 8), 3, 1)), v6},
		"IPv6, later fragment":           {ipv6SYN([]byte{44, 6}, set(make([]byte, 8), 3, 8)), ""},
		"IPv6, extension past the end":   {ipv6SYN([]byte{60, 6}, set(make([]byte, 8), 1, 200)), ""},
		"version 5":                      {set(ipv4SYN(0), 0, 0x55), ""},
		"empty":                          {nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			src, dst, _, ok := decodeTCP(test.packet)
			got := ""
			if ok {
				got = src.String() + " " + dst.String()
			}
			if got != test.want {
				t.Errorf("decodeTCP = %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzPacket(f *testing.F) {
	f.Add(ipv4SYN(0))
	f.Add(ipv4SYN(40))
	f.Add(ipv6SYN([]byte{6}))
	f.Add(ipv6SYN([]byte{0, 44, 6}, make([]byte, 8), make([]byte, 8)))
	f.Fuzz(func(t *testing.T, b []byte) {
		src, dst, _, ok := decodeTCP(b)
		if ok && (!src.IsValid() || !dst.IsValid()) {
			t.Errorf("understood, but without addresses: %v %v", src, dst)
		}
		if !ok && (src != netip.AddrPort{} || dst != netip.AddrPort{}) {
			t.Errorf("not understood, but with addresses: %v %v", src, dst)
		}
	})
}
