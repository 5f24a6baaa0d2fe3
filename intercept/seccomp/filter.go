package seccomp

import (
	"errors"
	"fmt"
	"io"
	"os"

	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Filter describes which system calls notify.
type Filter struct {
	// Bind notifies of bind(2) too: the process runtime rewrites addresses.
	Bind bool
	// AllowIOURing leaves io_uring_setup(2) alone. Without it the call fails
	// with ENOSYS, for io_uring connects and listens unseen by seccomp.
	AllowIOURing bool
}

// msgFastOpen is MSG_FASTOPEN of sendto(2): the send connects.
const msgFastOpen = 0x20000000

// connectLengths are masks that match the address lengths 16 to 109: all that
// an IPv4 or IPv6 address can have below 110, the length of a whole sockaddr_un.
// One rule may compare an argument once only, hence powers of two.
var connectLengths = []struct{ mask, value uint64 }{
	{^uint64(15), 16}, {^uint64(31), 32}, {^uint64(31), 64}, {^uint64(7), 96}, {^uint64(3), 104}, {^uint64(1), 108},
}

// Compile returns the filter as an array of struct sock_filter (seccomp(2)) in
// the byte order of this machine. Calls of other architectures pass.
func (f Filter) Compile() ([]byte, error) {
	filter, err := libseccomp.NewFilter(libseccomp.ActAllow)
	if err != nil {
		return nil, fmt.Errorf("make seccomp filter: %w", err)
	}
	defer filter.Release()
	if err := filter.SetBadArchAction(libseccomp.ActAllow); err != nil {
		return nil, fmt.Errorf("set action for other architectures: %w", err)
	}
	for _, r := range f.rules() {
		call, err := libseccomp.GetSyscallFromName(r.call)
		if err != nil {
			return nil, fmt.Errorf("look up system call %s: %w", r.call, err)
		}
		if err := filter.AddRuleConditional(call, r.action, r.when); err != nil {
			return nil, fmt.Errorf("add rule for %s: %w", r.call, err)
		}
	}
	return export(filter)
}

type rule struct {
	call   string
	action libseccomp.ScmpAction
	when   []libseccomp.ScmpCondition
}

func (f Filter) rules() []rule {
	notify := libseccomp.ActNotify
	rules := []rule{
		{"listen", notify, nil},
		{"connect", notify, []libseccomp.ScmpCondition{{Argument: 2, Op: libseccomp.CompareGreaterEqual, Operand1: unix.SizeofSockaddrUnix + 1}}},
		{"sendto", notify, hasFlag(3)},
		{"sendmsg", notify, hasFlag(2)},
	}
	for _, l := range connectLengths {
		rules = append(rules, rule{"connect", notify, []libseccomp.ScmpCondition{{Argument: 2, Op: libseccomp.CompareMaskedEqual, Operand1: l.mask, Operand2: l.value}}})
	}
	if f.Bind {
		rules = append(rules, rule{"bind", notify, nil})
	}
	if !f.AllowIOURing {
		rules = append(rules, rule{"io_uring_setup", libseccomp.ActErrno.SetReturnCode(int16(unix.ENOSYS)), nil})
	}
	return rules
}

func hasFlag(arg uint) []libseccomp.ScmpCondition {
	return []libseccomp.ScmpCondition{{Argument: arg, Op: libseccomp.CompareMaskedEqual, Operand1: msgFastOpen, Operand2: msgFastOpen}}
}

// export reads the program back through a memory file, the only way out that
// libseccomp offers.
func export(filter *libseccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("upall-filter", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "upall-filter")
	if err := filter.ExportBPF(file); err != nil {
		return nil, errors.Join(fmt.Errorf("export seccomp filter: %w", err), file.Close())
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	program, err := io.ReadAll(file)
	return program, errors.Join(err, file.Close())
}
