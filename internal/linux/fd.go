package linux

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// FD owns an open file descriptor.
type FD struct{ n int }

// NewFD takes over the descriptor n.
func NewFD(n int) *FD { return &FD{n} }

// Duplicate returns another descriptor of the same open file (fcntl(2),
// F_DUPFD_CLOEXEC).
func Duplicate(n int) (*FD, error) {
	dup, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return NewFD(dup), nil
}

// Int returns the descriptor, -1 after Close or Disown.
func (f *FD) Int() int { return f.n }

// Disown gives the descriptor to the caller, who must close it.
func (f *FD) Disown() int {
	n := f.n
	f.n = -1
	return n
}

// Close closes the descriptor. Closing twice, or a nil FD, does nothing.
func (f *FD) Close() error {
	if f == nil || f.n < 0 {
		return nil
	}
	return os.NewSyscallError("close", unix.Close(f.Disown()))
}

// Errno returns the system error number within err, or fallback.
func Errno(err error, fallback unix.Errno) unix.Errno {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return fallback
}
