package process

import (
	"encoding/binary"
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

// control is our end of the socket to a guard. What the guard writes, the
// program's pid and then its exit code, is looked at and left there, so that a
// later supervisor finds it too.
type control struct {
	file *os.File
	conn syscall.RawConn
}

// wordSize is the size of what the guard writes, an int of C.
const wordSize = 4

// newControl takes the descriptor over.
func newControl(fd *linux.FD) (*control, error) {
	file, err := pollable(fd, "guard")
	if err != nil {
		return nil, err
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &control{file: file, conn: conn}, nil
}

// pollable makes a file of the descriptor on which the Go runtime waits.
func pollable(fd *linux.FD, name string) (*os.File, error) {
	if err := unix.SetNonblock(fd.Int(), true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), fd.Close())
	}
	return os.NewFile(uintptr(fd.Disown()), name), nil
}

// pid waits for the program's process ID. ok is false if there is none: the
// guard ended before it had started the program.
func (c *control) pid() (pid int, ok bool) { return c.word(0) }

// code waits for the program's exit code. ok is false if the guard ended without
// telling it.
func (c *control) code() (code int, ok bool) { return c.word(1) }

// word waits until the guard has written its nth word, or is gone.
func (c *control) word(n int) (value int, ok bool) {
	var buf [2 * wordSize]byte
	got, size := 0, (n+1)*wordSize
	err := c.conn.Read(func(fd uintptr) bool {
		// Asked first: of one that is gone there is nothing to come.
		gone := isHungUp(int(fd))
		got = peek(int(fd), buf[:size])
		return got == size || gone
	})
	if err != nil || got < size {
		return 0, false
	}
	return int(int32(binary.NativeEndian.Uint32(buf[n*wordSize:]))), true
}

// peek returns how many bytes could be read. An error, as ECONNRESET of a guard
// that was killed with orders unread, means none.
func peek(fd int, buf []byte) int {
	for {
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0)
		}
	}
}

// isHungUp tells whether nobody has the other end of a socket open.
func isHungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	for {
		_, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
		}
	}
}

// order sends the guard a byte. A guard that is gone is no error.
func (c *control) order(b byte) error {
	_, err := c.file.Write([]byte{b})
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// Close gives our end up.
func (c *control) Close() error { return c.file.Close() }
