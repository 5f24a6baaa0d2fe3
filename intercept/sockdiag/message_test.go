package sockdiag

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func rawMessage(kind uint16, sequence uint32, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(netlinkHeader+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, sequence)
	b = append(b, make([]byte, 4)...)
	return append(b, body...)
}

// socketBody is a struct inet_diag_msg, field by field.
func socketBody(family, state uint8, src, dst [16]byte) []byte {
	b := []byte{family, state, 0, 0, 0x1f, 0x90, 0x00, 0x50}
	b = append(b, src[:]...)
	b = append(b, dst[:]...)
	for _, field := range []uint32{0, 0x11111111, 0x22222222, 0, 3, 128, 1000, 4242} {
		b = binary.NativeEndian.AppendUint32(b, field)
	}
	return b
}

func errorBody(errno int32) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-errno))
}

func TestAnswers(t *testing.T) {
	v4 := socketBody(unix.AF_INET, StateListen, [16]byte{127, 0, 0, 1}, [16]byte{10, 0, 0, 1})
	mapped := netip.MustParseAddr("::ffff:127.0.0.1").As16()
	mappedTo := netip.MustParseAddr("::ffff:10.0.0.1").As16()
	want := answer{
		sequence: 7, receiveQueue: 3, sendQueue: 128,
		socket: Socket{
			Local: netip.MustParseAddrPort("127.0.0.1:8080"), Remote: netip.MustParseAddrPort("10.0.0.1:80"),
			State: StateListen, Inode: 4242, UID: 1000, Cookie: 0x2222222211111111,
		},
	}
	six := want
	six.socket.Local, six.socket.Remote = netip.MustParseAddrPort("[::1]:8080"), netip.MustParseAddrPort("[::]:80")
	one := rawMessage(unix.SOCK_DIAG_BY_FAMILY, 7, v4)
	tests := map[string]struct {
		datagram []byte
		want     []answer
	}{
		"IPv4":         {one, []answer{want}},
		"v4-mapped":    {rawMessage(unix.SOCK_DIAG_BY_FAMILY, 7, socketBody(unix.AF_INET6, StateListen, mapped, mappedTo)), []answer{want}},
		"IPv6":         {rawMessage(unix.SOCK_DIAG_BY_FAMILY, 7, socketBody(unix.AF_INET6, StateListen, netip.IPv6Loopback().As16(), [16]byte{})), []answer{six}},
		"attributes":   {rawMessage(unix.SOCK_DIAG_BY_FAMILY, 7, append(slices.Clone(v4), 5, 0, 8, 0, 0)), []answer{want}},
		"other family": {rawMessage(unix.SOCK_DIAG_BY_FAMILY, 7, socketBody(unix.AF_UNIX, StateListen, mapped, mappedTo)), nil},
		"too short":    {rawMessage(unix.SOCK_DIAG_BY_FAMILY, 7, v4[:answerLength-1]), nil},
		"cut":          {one[:len(one)-1], nil},
		"then done":    {slices.Concat(one, rawMessage(unix.NLMSG_DONE, 7, errorBody(0))), []answer{want, {sequence: 7, done: true}}},
		"an error":     {rawMessage(unix.NLMSG_ERROR, 7, errorBody(2)), []answer{{sequence: 7, errno: unix.ENOENT}}},
		"all is well":  {rawMessage(unix.NLMSG_ERROR, 7, errorBody(0)), nil},
		"empty":        {nil, nil},
		"zeroes":       {make([]byte, 64), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := slices.Collect(answers(test.datagram)); !slices.Equal(got, test.want) {
				t.Errorf("answers = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestInodeOf(t *testing.T) {
	for target, want := range map[string]uint32{"socket:[4242]": 4242, "pipe:[4242]": 0, "/dev/null": 0, "socket:[x]": 0, "socket:[99999999999]": 0} {
		inode, ok := inodeOf(target)
		if ok != (want != 0) || (ok && inode != want) {
			t.Errorf("inodeOf(%q) = %d, %v", target, inode, ok)
		}
	}
}

func TestHolder(t *testing.T) {
	for want, holder := range map[string]Holder{
		"nginx (pid 1234)":     {PID: 1234, Name: "nginx", UID: 33},
		"a process of user 33": {UID: 33},
	} {
		if got := holder.String(); got != want {
			t.Errorf("%+v is %q, want %q", holder, got, want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(rawMessage(unix.SOCK_DIAG_BY_FAMILY, 1, socketBody(unix.AF_INET, StateListen, [16]byte{127}, [16]byte{})))
	f.Add(rawMessage(unix.SOCK_DIAG_BY_FAMILY, 1, socketBody(unix.AF_INET6, StateSynSent, [16]byte{}, [16]byte{})))
	f.Add(rawMessage(unix.NLMSG_DONE, 1, errorBody(2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		count := 0
		for a := range answers(b) {
			count++
			if !a.done && a.errno == 0 && !a.socket.Local.Addr().IsValid() {
				t.Error("a socket without an address")
			}
			if a.socket.Local.Addr().Is4In6() || a.socket.Remote.Addr().Is4In6() {
				t.Error("a v4-mapped address was not unmapped")
			}
		}
		if count*netlinkHeader > len(b) {
			t.Errorf("%d answers in %d bytes", count, len(b))
		}
	})
}
