package seccomp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"upall/internal/linux"
)

// Keep is where descriptors survive this process.
type Keep interface {
	// Put keeps duplicates of fds, which stay the caller's. An entry of the same
	// name is replaced. When it has returned, they survive.
	Put(name string, data []byte, fds ...int) error
	// Drop gives an entry up.
	Drop(name string) error
}

// The entries of an Agent, each with one descriptor and no data.
const (
	AgentEntry    = "agent"      // the listening socket
	HandOverEntry = "hand-over/" // and State.HandOver: a connection that is not done with
)

func handOverEntry(number uint64) string {
	return HandOverEntry + strconv.FormatUint(number, 10)
}

func parseHandOverEntry(name string) (number uint64, err error) {
	digits, ok := strings.CutPrefix(name, HandOverEntry)
	if ok {
		number, err = strconv.ParseUint(digits, 10, 64)
	}
	if !ok || err != nil {
		return 0, fmt.Errorf("adopt a hand-over: %q is not the name of one", name)
	}
	return number, nil
}

// put keeps the descriptor of a listener or connection.
func (a *Agent) put(name string, of syscall.Conn) error {
	raw, err := of.SyscallConn()
	if err != nil {
		return err
	}
	var putErr error
	err = raw.Control(func(fd uintptr) { putErr = a.keep.Put(name, nil, int(fd)) })
	return errors.Join(err, putErr)
}

// adoptListener has the path removed at Close, as it is of a listener of our own.
func adoptListener(fd *linux.FD) (*net.UnixListener, error) {
	file := os.NewFile(uintptr(fd.Disown()), AgentEntry)
	listener, err := net.FileListener(file) // a duplicate
	err = errors.Join(err, file.Close())
	if err != nil {
		return nil, err
	}
	unixListener, ok := listener.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("adopt %T: it is no unix socket", listener), listener.Close())
	}
	unixListener.SetUnlinkOnClose(true)
	return unixListener, nil
}

// adoptConns returns the connections by number. On an error it closes them all.
func adoptConns(entries map[string]*linux.FD) (map[uint64]*net.UnixConn, error) {
	conns := map[uint64]*net.UnixConn{}
	var errs error
	for name, fd := range entries {
		number, err := parseHandOverEntry(name)
		if err != nil {
			errs = errors.Join(errs, err, fd.Close())
			continue
		}
		conn, err := adoptConn(fd)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		conns[number] = conn
	}
	if errs == nil {
		return conns, nil
	}
	for _, conn := range conns {
		errs = errors.Join(errs, conn.Close())
	}
	return nil, errs
}

func adoptConn(fd *linux.FD) (*net.UnixConn, error) {
	file := os.NewFile(uintptr(fd.Disown()), HandOverEntry)
	conn, err := net.FileConn(file) // a duplicate
	err = errors.Join(err, file.Close())
	if err != nil {
		return nil, err
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("adopt %T: it is no unix socket", conn), conn.Close())
	}
	return unixConn, nil
}
