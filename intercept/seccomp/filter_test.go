package seccomp

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const auditArchNative = 0xc000003e // AUDIT_ARCH_X86_64 of linux/audit.h

const (
	retAllow  = 0x7fff0000
	retNotify = 0x7fc00000
	retENOSYS = 0x00050000 | uint32(unix.ENOSYS)
)

func TestFilter(t *testing.T) {
	process := Filter{Bind: true}
	tests := []struct {
		name   string
		filter Filter
		nr     int
		arch   uint32
		args   [6]uint64
		want   uint32
	}{
		{"listen", process, unix.SYS_LISTEN, auditArchNative, [6]uint64{3, 5}, retNotify},
		{"bind, process runtime", process, unix.SYS_BIND, auditArchNative, [6]uint64{3, 0, 16}, retNotify},
		{"bind, containers", Filter{}, unix.SYS_BIND, auditArchNative, [6]uint64{3, 0, 16}, retAllow},
		{"connect IPv4", process, unix.SYS_CONNECT, auditArchNative, [6]uint64{3, 0, 16}, retNotify},
		{"connect IPv6", process, unix.SYS_CONNECT, auditArchNative, [6]uint64{3, 0, 28}, retNotify},
		{"connect IPv6 without scope", process, unix.SYS_CONNECT, auditArchNative, [6]uint64{3, 0, 24}, retNotify},
		{"connect sockaddr_storage", process, unix.SYS_CONNECT, auditArchNative, [6]uint64{3, 0, 128}, retNotify},
		{"connect netlink", process, unix.SYS_CONNECT, auditArchNative, [6]uint64{3, 0, 12}, retAllow},
		{"connect sockaddr_un", process, unix.SYS_CONNECT, auditArchNative, [6]uint64{3, 0, 110}, retAllow},
		{"connect 109 bytes", process, unix.SYS_CONNECT, auditArchNative, [6]uint64{3, 0, 109}, retNotify},
		{"connect 111 bytes", process, unix.SYS_CONNECT, auditArchNative, [6]uint64{3, 0, 111}, retNotify},
		{"sendto", process, unix.SYS_SENDTO, auditArchNative, [6]uint64{3, 0, 9, 0x4000, 0, 16}, retAllow},
		{"sendto with fast open", process, unix.SYS_SENDTO, auditArchNative, [6]uint64{3, 0, 9, 0x20004000, 0, 16}, retNotify},
		{"sendmsg", process, unix.SYS_SENDMSG, auditArchNative, [6]uint64{3, 0, 0}, retAllow},
		{"sendmsg with fast open", process, unix.SYS_SENDMSG, auditArchNative, [6]uint64{3, 0, 0x20000000}, retNotify},
		{"io_uring", process, unix.SYS_IO_URING_SETUP, auditArchNative, [6]uint64{8}, retENOSYS},
		{"io_uring allowed", Filter{AllowIOURing: true}, unix.SYS_IO_URING_SETUP, auditArchNative, [6]uint64{8}, retAllow},
		{"write", process, unix.SYS_WRITE, auditArchNative, [6]uint64{1, 0, 9}, retAllow},
		{"accept4", process, unix.SYS_ACCEPT4, auditArchNative, [6]uint64{1}, retAllow},
		{"listen of i386", process, 363, 0x40000003, [6]uint64{3, 5}, retAllow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vm := newVM(t, tt.filter)
			got, err := vm.Run(seccompData(tt.nr, tt.arch, tt.args))
			if err != nil {
				t.Fatal(err)
			}
			if uint32(got) != tt.want {
				t.Errorf("filter returned %#x, want %#x", got, tt.want)
			}
		})
	}
	for length := uint64(0); length <= 130; length++ {
		got, err := newVM(t, process).Run(seccompData(unix.SYS_CONNECT, auditArchNative, [6]uint64{3, 0, length}))
		if err != nil {
			t.Fatal(err)
		}
		want := uint32(retAllow)
		if length >= 16 && length != 110 {
			want = retNotify
		}
		if uint32(got) != want {
			t.Errorf("connect with length %d: %#x, want %#x", length, got, want)
		}
	}
}

// newVM loads the program into the user space BPF machine. It loads words in
// big endian, so seccompData is laid out so.
func newVM(t *testing.T, f Filter) *bpf.VM {
	t.Helper()
	program, err := f.Compile()
	if err != nil {
		t.Fatal(err)
	}
	var raw []bpf.RawInstruction
	for b := program; len(b) > 0; b = b[8:] {
		raw = append(raw, bpf.RawInstruction{
			Op: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.NativeEndian.Uint32(b[4:]),
		})
	}
	instructions, all := bpf.Disassemble(raw)
	if !all {
		t.Fatal("the filter has instructions that classic BPF does not know")
	}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// seccompData is struct seccomp_data with each 64-bit field as two words, the
// lower one first, as on a little endian machine.
func seccompData(nr int, arch uint32, args [6]uint64) []byte {
	words := []uint32{uint32(nr), arch, 0, 0}
	for _, a := range args {
		words = append(words, uint32(a), uint32(a>>32))
	}
	var b []byte
	for _, w := range words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}
