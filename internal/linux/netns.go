package linux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// NetNS is a network namespace that is kept open, and so alive.
type NetNS struct{ *FD }

// NetNSID tells network namespaces apart, as long as either is open: the device
// and inode of its nsfs file (namespaces(7)).
type NetNSID struct{ Dev, Ino uint64 }

// OpenNetNS opens the network namespace that process pid is in, 0 for the
// caller's own.
func OpenNetNS(pid int) (*NetNS, error) {
	path := "/proc/self/ns/net"
	if pid != 0 {
		path = fmt.Sprintf("/proc/%d/ns/net", pid)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &NetNS{NewFD(fd)}, nil
}

// ID returns which namespace it is.
func (n *NetNS) ID() (NetNSID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(n.Int(), &st); err != nil {
		return NetNSID{}, os.NewSyscallError("fstat", err)
	}
	return NetNSID{st.Dev, st.Ino}, nil
}

// Dup returns another handle on the same namespace.
func (n *NetNS) Dup() (*NetNS, error) {
	fd, err := Duplicate(n.Int())
	if err != nil {
		return nil, err
	}
	return &NetNS{fd}, nil
}

// SocketIn opens a socket that belongs to the network namespace, whoever uses it
// (socket(2), setns(2), CAP_SYS_ADMIN). FD_CLOEXEC is set.
func SocketIn(n *NetNS, family, kind, protocol int) (*FD, error) {
	type opened struct {
		fd  *FD
		err error
	}
	result := make(chan opened, 1) // one result; the sender never waits
	go func() {
		runtime.LockOSThread()
		home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			result <- opened{err: os.NewSyscallError("open", err)}
			return
		}
		back := NewFD(home)
		fd, err := socketFrom(n, family, kind, protocol)
		// A thread that does not get back must not be used any more: locked, it
		// ends with the goroutine.
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		result <- opened{fd, errors.Join(err, back.Close())}
	}()
	o := <-result
	return o.fd, o.err
}

// socketFrom leaves the thread in the namespace.
func socketFrom(n *NetNS, family, kind, protocol int) (*FD, error) {
	if err := unix.Setns(n.Int(), unix.CLONE_NEWNET); err != nil {
		return nil, os.NewSyscallError("setns", err)
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return NewFD(fd), nil
}

// DialIn connects over TCP from within the network namespace.
func DialIn(ctx context.Context, n *NetNS, addr netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		family := unix.AF_INET
		if addr.Addr().Is6() && !addr.Addr().Is4In6() {
			family = unix.AF_INET6
		}
		sock, err := SocketIn(n, family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
		if err != nil {
			return err
		}
		// Nothing is known of the dialer's own socket yet but its number.
		var dupErr error
		err = raw.Control(func(fd uintptr) {
			dupErr = os.NewSyscallError("dup3", unix.Dup3(sock.Int(), int(fd), unix.O_CLOEXEC))
		})
		return errors.Join(err, dupErr, sock.Close())
	}}
	return dialer.DialContext(ctx, "tcp", addr.String())
}

// PIDNamespace returns the inode of the caller's pid namespace (pid_namespaces(7)).
func PIDNamespace() (inode uint64, err error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return 0, os.NewSyscallError("stat", err)
	}
	return st.Ino, nil
}
