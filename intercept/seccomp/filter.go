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
	for _, r := range f.Rules() {
		if err := add(filter, r); err != nil {
			return nil, err
		}
	}
	return export(filter)
}

func add(filter *libseccomp.ScmpFilter, r Rule) error {
	if r.Action == Pass {
		return nil // the filter's default, which libseccomp wants no rule for
	}
	call, err := libseccomp.GetSyscallFromName(r.Call)
	if err != nil {
		return fmt.Errorf("look up system call %s: %w", r.Call, err)
	}
	action := libseccomp.ActNotify
	if r.Action == NoSys {
		action = libseccomp.ActErrno.SetReturnCode(int16(unix.ENOSYS))
	}
	if err := filter.AddRuleConditional(call, action, conditions(r.When)); err != nil {
		return fmt.Errorf("add rule for %s: %w", r.Call, err)
	}
	return nil
}

func conditions(c *Condition) []libseccomp.ScmpCondition {
	switch {
	case c == nil:
		return nil
	case c.Op == AtLeast:
		return []libseccomp.ScmpCondition{{Argument: c.Arg, Op: libseccomp.CompareGreaterEqual, Operand1: c.Value}}
	}
	return []libseccomp.ScmpCondition{{Argument: c.Arg, Op: libseccomp.CompareMaskedEqual, Operand1: c.Mask, Operand2: c.Value}}
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
