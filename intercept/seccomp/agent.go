package seccomp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const socketPerms = 0o600

// handOverLimit is how long a sender may take, for anybody may connect who sees
// the socket.
const handOverLimit = 10 * time.Second

// Agent receives notifyFDs on a unix socket.
type Agent struct {
	listener *net.UnixListener
	attach   func(State, *NotifyFD) error
	served   sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns map[*net.UnixConn]struct{}
}

// ListenAgent opens the socket at path, readable and writable for its owner
// alone, and calls attach for each hand-over, concurrently. attach owns the
// NotifyFD, also when it returns an error; the error makes the sender fail.
//
// A socket that a killed upall left at path is replaced. Many containers may see
// one socket, or links of it, in a directory of theirs: it is State.Metadata that
// tells them apart. Their users must then be permitted to write to it.
func ListenAgent(path string, attach func(State, *NotifyFD) error) (*Agent, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if errors.Is(err, unix.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, fmt.Errorf("listen for hand-overs: %w", err)
		}
		listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	}
	if err != nil {
		return nil, fmt.Errorf("listen for hand-overs: %w", err)
	}
	if err := os.Chmod(path, socketPerms); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	a := &Agent{listener: listener, attach: attach, conns: map[*net.UnixConn]struct{}{}}
	a.served.Go(a.accept)
	return a, nil
}

// removeStale removes a socket on which nobody listens.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is in the way, which is no socket: remove it", path)
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		return errors.Join(fmt.Errorf("another upall listens at %s: stop it first", path), conn.Close())
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Close closes the socket, ends the hand-overs whose state has not come yet and
// waits for the others.
func (a *Agent) Close() error {
	err := a.listener.Close()
	a.mu.Lock()
	for conn := range a.conns {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // long over
	}
	a.conns = nil
	a.mu.Unlock()
	a.served.Wait()
	return err
}

func (a *Agent) accept() {
	for {
		conn, err := a.listener.AcceptUnix()
		if err != nil {
			return // closed
		}
		a.served.Go(func() { a.serve(conn) })
	}
}

// enter tells whether the Agent is still open. Then Close interrupts the conn.
func (a *Agent) enter(conn *net.UnixConn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns == nil {
		return false
	}
	a.conns[conn] = struct{}{}
	return conn.SetReadDeadline(time.Now().Add(handOverLimit)) == nil
}

func (a *Agent) leave(conn *net.UnixConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, conn)
}

// serve leaves errors to the sender, who sees the connection closed unanswered
// and reports it on the service's own stderr.
func (a *Agent) serve(conn *net.UnixConn) {
	defer func() { _ = conn.Close() }()
	if !a.enter(conn) {
		return
	}
	state, notifyFD, err := receiveState(conn)
	a.leave(conn)
	if err != nil {
		return
	}
	if state.PID == 0 {
		state.PID = peer(conn)
	}
	if a.attach(state, notifyFD) == nil {
		_, _ = conn.Write([]byte{attached})
	}
}

// peer returns the process that connected, in our PID namespace, 0 if it is not
// in it.
func peer(conn *net.UnixConn) (pid int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Control(func(fd uintptr) {
		if credentials, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(credentials.Pid)
		}
	})
	if err != nil {
		return 0
	}
	return pid
}
