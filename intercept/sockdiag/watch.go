package sockdiag

import (
	"errors"
	"fmt"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

// ErrMissed is returned, wrapped, when sockets have ended of which nobody will tell.
var ErrMissed = errors.New("the kernel has dropped messages")

// Groups of linux/sock_diag.h: each TCP socket that ends.
const (
	tcpDestroy  = 1 // SKNLGRP_INET_TCP_DESTROY
	tcp6Destroy = 3 // SKNLGRP_INET6_TCP_DESTROY
)

// queueLength bounds what waits for the reader, in bytes of the kernel's memory:
// some 50,000 sockets. An ordinary user gets net.core.rmem_max.
const queueLength = 64 << 20

// Watcher tells of the TCP sockets of a network namespace that end. Its methods are
// for one goroutine at a time.
//
// Nobody waits for a message: to wake a thread at each would delay who connects,
// some 30 us on two processors. So the descriptor is not with Go's poller either,
// which would be woken too.
type Watcher struct {
	fd  *linux.FD
	buf []byte
}

// Watch begins to tell. netNS is as for Dial. It needs no privilege; a kernel
// without INET_TCP_DIAG has nothing to tell.
func Watch(netNS int) (*Watcher, error) {
	conn, err := netlink.Dial(unix.NETLINK_INET_DIAG, &netlink.Config{NetNS: netNS})
	if err != nil {
		return nil, fmt.Errorf("open a sock_diag socket: %w", err)
	}
	w := &Watcher{buf: make([]byte, bufferLength)}
	if err := errors.Join(w.take(conn), conn.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("watch sockets end: %w", err), w.fd.Close())
	}
	return w, nil
}

// take goes on with the socket of a connection that is about to be closed, which
// takes it from the poller.
func (w *Watcher) take(conn *netlink.Conn) error {
	if err := errors.Join(conn.JoinGroup(tcpDestroy), conn.JoinGroup(tcp6Destroy)); err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = w.keep(int(fd)) }), err)
}

func (w *Watcher) keep(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueLength)
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queueLength)
	}
	if err != nil {
		return os.NewSyscallError("setsockopt SO_RCVBUF", err)
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
	}
	w.fd = linux.NewFD(own)
	return nil
}

// Close ends the watch.
func (w *Watcher) Close() error { return w.fd.Close() }

// Drain calls handle for each socket that has ended since the last call.
//   - ErrMissed: some were lost, and all others are given.
func (w *Watcher) Drain(handle func(Traffic)) error {
	var missed error
	for {
		n, err := unix.Read(w.fd.Int(), w.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return missed
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			missed = fmt.Errorf("watch sockets end: %w", ErrMissed)
			continue
		case err != nil:
			return fmt.Errorf("watch sockets end: %w", os.NewSyscallError("read", err))
		}
		for a := range answers(w.buf[:n]) {
			if a.hasCounts {
				handle(a.traffic())
			}
		}
	}
}
