package linux

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDecodeSockaddr(t *testing.T) {
	in := []byte{unix.AF_INET, 0, 0x1f, 0x90, 127, 77, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	in6 := append([]byte{unix.AF_INET6, 0, 0x1f, 0x90, 0, 0, 0, 0}, netip.MustParseAddr("fd99::1").AsSlice()...)
	mapped := append([]byte{unix.AF_INET6, 0, 0, 80, 0, 0, 0, 0}, netip.MustParseAddr("::ffff:10.0.0.1").AsSlice()...)
	for _, test := range []struct {
		name   string
		bytes  []byte
		want   string
		family uint16
	}{
		{"IPv4", in, "127.77.0.1:8080", unix.AF_INET},
		{"IPv4 and more", append(in[:16:16], 9, 9), "127.77.0.1:8080", unix.AF_INET},
		{"IPv4 cut", in[:15], "invalid AddrPort", unix.AF_INET},
		{"IPv6 without scope", in6, "[fd99::1]:8080", unix.AF_INET6},
		{"IPv6", append(in6[:24:24], 0, 0, 0, 0), "[fd99::1]:8080", unix.AF_INET6},
		{"IPv6 cut", in6[:23], "invalid AddrPort", unix.AF_INET6},
		{"IPv4-mapped", mapped, "[::ffff:10.0.0.1]:80", unix.AF_INET6},
		{"unix", []byte{unix.AF_UNIX, 0, '/', 'x'}, "invalid AddrPort", unix.AF_UNIX},
		{"one byte", []byte{2}, "invalid AddrPort", unix.AF_UNSPEC},
		{"nothing", nil, "invalid AddrPort", unix.AF_UNSPEC},
	} {
		got, family := DecodeSockaddr(test.bytes)
		if got.String() != test.want || family != test.family {
			t.Errorf("%s: %v of family %d, want %s of %d", test.name, got, family, test.want, test.family)
		}
	}
}

// FuzzDecodeSockaddr: any bytes are accepted, and an address comes only of what
// is long enough for one.
func FuzzDecodeSockaddr(f *testing.F) {
	f.Add([]byte{unix.AF_INET, 0, 0x1f, 0x90, 127, 77, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(append([]byte{unix.AF_INET6, 0, 0x1f, 0x90}, make([]byte, 24)...))
	f.Add([]byte{unix.AF_UNIX})
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, family := DecodeSockaddr(b)
		if !addr.IsValid() {
			return
		}
		least, is6 := SizeofSockaddrIn, false
		if family == unix.AF_INET6 {
			least, is6 = minSockaddrIn6, true
		}
		if len(b) < least || addr.Addr().Is6() != is6 || uint16(b[2])<<8|uint16(b[3]) != addr.Port() {
			t.Errorf("%x gives %v of family %d", b, addr, family)
		}
	})
}
