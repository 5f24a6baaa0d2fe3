package linux

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Cookies reads the SO_COOKIE of sockets of other threads, as Socket.Cookie does of
// a duplicate. It is for a hot path: it keeps the descriptor of the thread that was
// asked last, and allocates nothing then. One goroutine may use it. Make one with
// NewCookies.
type Cookies struct {
	threadFDs bool // as of DupFD
	tid       int
	thread    int // pidfd; -1: none
}

// NewCookies returns one that has asked nobody yet.
func NewCookies(threadFDs bool) *Cookies { return &Cookies{threadFDs: threadFDs, thread: -1} }

// Of returns the cookie of descriptor fd of the thread tid. The errors are those of
// DupFD; ENOTSOCK, wrapped, of what is no socket.
func (c *Cookies) Of(tid, fd int) (uint64, error) {
	dup, err := c.dup(tid, fd)
	if err != nil {
		return 0, err
	}
	cookie, err := unix.GetsockoptUint64(dup, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err := errors.Join(os.NewSyscallError("getsockopt SO_COOKIE", err), unix.Close(dup)); err != nil {
		return 0, err
	}
	return cookie, nil
}

// dup duplicates with the thread's descriptor if that is at hand. A descriptor of a
// thread that has ended is of no other that gets its number: ESRCH.
func (c *Cookies) dup(tid, fd int) (int, error) {
	if c.thread >= 0 && c.tid == tid {
		if dup, err := unix.PidfdGetfd(c.thread, fd, 0); !errors.Is(err, unix.ESRCH) {
			return dup, os.NewSyscallError("pidfd_getfd", err)
		}
	}
	if err := c.Close(); err != nil {
		return 0, err
	}
	if c.threadFDs {
		if thread, err := unix.PidfdOpen(tid, pidfdThread); err == nil {
			c.tid, c.thread = tid, thread
			dup, err := unix.PidfdGetfd(thread, fd, 0)
			return dup, os.NewSyscallError("pidfd_getfd", err)
		}
	}
	dup, err := DupFD(tid, fd, false)
	if err != nil {
		return 0, err
	}
	return dup.Disown(), nil
}

// Close forgets the thread that was asked last.
func (c *Cookies) Close() error {
	if c.thread < 0 {
		return nil
	}
	thread := c.thread
	c.thread = -1
	return os.NewSyscallError("close", unix.Close(thread))
}
