package seccomp

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

const socketPerms = 0o600

// handOverLimit is how long a sender may take, for anybody may connect who sees
// the socket.
const handOverLimit = 10 * time.Second

// AgentOptions are for ListenAgent.
type AgentOptions struct {
	// Path is where the socket is. One that a killed upall left there is replaced.
	Path string
	// Attach gets each hand-over, concurrently. It owns the NotifyFD, also when it
	// returns an error; the error makes the sender fail. What is to survive this
	// process must be kept before it returns. A hand-over may come a second time
	// then, with the same State.HandOver: attach closes the NotifyFD and returns
	// what it returned before.
	Attach func(State, *NotifyFD) error
	// Keep gets the socket and each connection. Nil: they end with this process.
	Keep Keep
	// Listener is the socket of an earlier process. Nil: it is made.
	Listener *linux.FD
	// Conns are the connections of an earlier process, by the names of their
	// entries (HandOverEntry).
	Conns map[string]*linux.FD
	// Logger gets what only developers read. Nil means none.
	Logger *slog.Logger
}

// Agent receives notifyFDs on a unix socket.
type Agent struct {
	listener *net.UnixListener
	attach   func(State, *NotifyFD) error
	keep     Keep // nil: none
	log      *slog.Logger
	served   sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns map[*net.UnixConn]struct{}
}

// ListenAgent opens the socket, readable and writable for its owner alone, or goes
// on with an earlier process' one. It owns the descriptors in o, also on an error.
//
// Many containers may see one socket, or links of it, in a directory of theirs: it
// is State.Metadata that tells them apart. Their users must then be permitted to
// write to it.
func ListenAgent(o AgentOptions) (*Agent, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Agent{attach: o.Attach, keep: o.Keep, log: o.Logger, conns: map[*net.UnixConn]struct{}{}}
	adopted, err := adoptConns(o.Conns)
	if err != nil {
		return nil, errors.Join(err, o.Listener.Close())
	}
	if o.Listener != nil {
		a.listener, err = adoptListener(o.Listener)
	} else {
		err = a.listen(o.Path)
	}
	if err != nil {
		err = fmt.Errorf("listen for hand-overs: %w", err)
		for _, conn := range adopted {
			err = errors.Join(err, conn.Close())
		}
		return nil, err
	}
	for number, conn := range adopted {
		a.served.Go(func() { a.serve(conn, number, true) })
	}
	a.served.Go(a.accept)
	return a, nil
}

// listen makes the socket.
func (a *Agent) listen(path string) error {
	var err error
	address := &net.UnixAddr{Name: path, Net: "unix"}
	a.listener, err = net.ListenUnix("unix", address)
	if errors.Is(err, unix.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return err
		}
		a.listener, err = net.ListenUnix("unix", address)
	}
	if err != nil {
		return err
	}
	err = os.Chmod(path, socketPerms)
	if err == nil && a.keep != nil {
		err = a.put(AgentEntry, a.listener)
	}
	if err != nil {
		return errors.Join(err, a.listener.Close())
	}
	return nil
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
// waits for the others. Nothing of the Agent is kept any more.
func (a *Agent) Close() error {
	var err error
	if a.keep != nil {
		err = a.keep.Drop(AgentEntry)
	}
	err = errors.Join(err, a.listener.Close())
	a.mu.Lock()
	for conn := range a.conns {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // long over
	}
	a.conns = nil
	a.mu.Unlock()
	a.served.Wait()
	return err
}

// accept keeps each connection before anything else is done with it: the senders
// of containers do not wait for an answer, and would not come again.
func (a *Agent) accept() {
	for {
		conn, err := a.listener.AcceptUnix()
		if err != nil {
			return // closed
		}
		number, kept := max(1, rand.Uint64()), false
		if a.keep != nil {
			err := a.put(handOverEntry(number), conn)
			if kept = err == nil; !kept {
				a.log.Error("keep a hand-over", "error", err)
			}
		}
		a.served.Go(func() { a.serve(conn, number, kept) })
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
func (a *Agent) serve(conn *net.UnixConn, number uint64, kept bool) {
	defer a.end(conn, number, kept)
	if !a.enter(conn) {
		return
	}
	state, notifyFD, err := receiveState(conn)
	a.leave(conn)
	if err != nil {
		a.log.Debug("hand-over", "error", err)
		return
	}
	state.HandOver, state.Peer = number, peer(conn)
	if a.attach(state, notifyFD) == nil {
		_, _ = conn.Write([]byte{attached})
	}
}

// end comes after the answer: if this process dies before, the next one serves the
// connection again.
func (a *Agent) end(conn *net.UnixConn, number uint64, kept bool) {
	if kept && a.keep != nil {
		if err := a.keep.Drop(handOverEntry(number)); err != nil {
			a.log.Error("drop a hand-over", "error", err)
		}
	}
	discard(conn) // not sooner: the next one needs it
	_ = conn.Close()
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
