package park

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

// receiveBuffer holds a burst of SYNs until the reader comes, in bytes.
const receiveBuffer = 16 << 20

// socket is a netlink socket to netfilter. Others may hold it too and go on with it
// when this process is killed, so nothing may depend on its being closed.
type socket struct {
	fd   int // of file
	file *os.File
	raw  syscall.RawConn
}

// dial opens a socket in a network namespace, 0 for the caller's own.
func dial(netNS int) (*socket, error) {
	const kind, protocol = unix.SOCK_RAW | unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER
	var fd *linux.FD
	var err error
	if netNS == 0 {
		var n int
		n, err = unix.Socket(unix.AF_NETLINK, kind|unix.SOCK_CLOEXEC, protocol)
		fd = linux.NewFD(n)
	} else {
		borrowed := &linux.NetNS{FD: linux.NewFD(netNS)}
		fd, err = linux.SocketIn(borrowed, unix.AF_NETLINK, kind, protocol)
	}
	if err != nil {
		return nil, &NotSupportedError{Feature: "a netfilter socket", Reason: err}
	}
	return newSocket(fd)
}

// duplicate returns another handle on the socket behind raw.
func duplicate(raw syscall.RawConn) (*socket, error) {
	n, dupErr := -1, error(nil)
	err := raw.Control(func(fd uintptr) { n, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, os.NewSyscallError("fcntl", dupErr)); err != nil {
		return nil, err
	}
	return newSocket(linux.NewFD(n))
}

// newSocket takes over fd, also when it returns an error.
func newSocket(fd *linux.FD) (*socket, error) {
	if err := unix.SetNonblock(fd.Int(), true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), fd.Close())
	}
	s := &socket{fd: fd.Disown()}
	s.file = os.NewFile(uintptr(s.fd), "netlink")
	raw, err := s.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.raw = raw
	return s, nil
}

// setUp prepares the socket for packets.
func (s *socket) setUp() error {
	// A larger buffer is only better, and the kernel gives what it allows:
	// SO_RCVBUFFORCE needs CAP_NET_ADMIN of the initial user namespace.
	err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if err != nil {
		return fmt.Errorf("set the receive buffer of the netfilter queue: %w", err)
	}
	// A full buffer is then a dropped SYN, which its client sends again, and not an error.
	if err := unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1); err != nil {
		return fmt.Errorf("set NETLINK_NO_ENOBUFS: %w", err)
	}
	return nil
}

// receive waits for a datagram, reads it into buf and returns its length in bytes.
func (s *socket) receive(buf []byte) (int, error) {
	var n int
	var readErr error
	err := s.raw.Read(func(uintptr) bool {
		n, readErr = s.read(buf)
		return !errors.Is(readErr, unix.EAGAIN)
	})
	return max(n, 0), errors.Join(err, readErr)
}

// read is receive that does not wait. EAGAIN: there is nothing.
func (s *socket) read(buf []byte) (int, error) {
	n, err := ignoringEINTR(func() (int, error) { return unix.Read(s.fd, buf) })
	if n == 0 && err == nil {
		err = io.ErrUnexpectedEOF // this is no netlink socket
	}
	return n, err
}

// send sends messages. The kernel has carried them out when it returns, and what it
// has to say is there to be received.
func (s *socket) send(b []byte) error {
	var sendErr error
	err := s.raw.Write(func(uintptr) bool {
		_, sendErr = ignoringEINTR(func() (int, error) { return unix.Write(s.fd, b) })
		return !errors.Is(sendErr, unix.EAGAIN)
	})
	return errors.Join(err, sendErr)
}

// pending reads what is there without waiting, and yields it until yield returns an
// error. The message is valid during the call.
func (s *socket) pending(yield func(message) error) error {
	buf := make([]byte, 1<<16)
	for {
		n, err := s.read(buf)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return os.NewSyscallError("read", err)
		}
		for m := range messages(buf[:max(n, 0)]) {
			if err := yield(m); err != nil {
				return err
			}
		}
	}
}

// ask sends messages and returns the first error that the kernel answers. Nobody
// else may receive meanwhile. Answers that nobody has read before are not heeded.
func (s *socket) ask(b []byte) error {
	if err := s.pending(func(message) error { return nil }); err != nil {
		return err
	}
	if err := s.send(b); err != nil {
		return err
	}
	var answered error
	err := s.pending(func(m message) error {
		if m.errno != 0 && answered == nil {
			answered = m.errno
		}
		return nil
	})
	return errors.Join(answered, err)
}

// close gives this handle up and ends receive.
func (s *socket) close() error { return s.file.Close() }

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
