package seccomp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

// The hand-over of a notifyFD, as the OCI runtime specification has it
// (config-linux.md, "The Container Process State"):
//
//	shim or runc                              Agent
//	    | connect (before the filter is set)    |
//	    | install the filter                    |
//	    | -- state JSON + SCM_RIGHTS fds -----> |  State.Metadata tells who it is
//	    | <----------------------- one byte --- |  "attached": the shim execs; runc has closed already
//	    | close                                 |
const attached = 'A'

// seccompFDName is the entry of State.FDs that stands for the notifyFD.
const seccompFDName = "seccompFd"

const (
	maxState    = 1 << 20 // bytes; a state is some hundred
	maxFDs      = 8
	socketPerms = 0o600
)

// State is the OCI ContainerProcessState, as far as it is used here.
type State struct {
	OCIVersion string   `json:"ociVersion"`
	FDs        []string `json:"fds"`
	PID        int      `json:"pid,omitempty"`
	Metadata   string   `json:"metadata"`
}

// MarshalState returns the state that a shim sends for the instance that
// metadata identifies.
func MarshalState(metadata string) ([]byte, error) {
	return json.Marshal(State{OCIVersion: "1.0.2", FDs: []string{seccompFDName}, Metadata: metadata})
}

// Agent receives notifyFDs on a unix socket.
type Agent struct {
	listener *net.UnixListener
	attach   func(State, *NotifyFD) error
	conns    sync.WaitGroup
}

// ListenAgent opens the socket at path, readable and writable for its owner
// alone, and calls attach for each hand-over, concurrently. attach owns the
// NotifyFD, also when it returns an error; the error makes the sender fail.
func ListenAgent(path string, attach func(State, *NotifyFD) error) (*Agent, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for hand-overs: %w", err)
	}
	if err := os.Chmod(path, socketPerms); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	a := &Agent{listener: listener, attach: attach}
	a.conns.Go(a.accept)
	return a, nil
}

// Close closes the socket and waits for the hand-overs that are under way.
func (a *Agent) Close() error {
	err := a.listener.Close()
	a.conns.Wait()
	return err
}

func (a *Agent) accept() {
	for {
		conn, err := a.listener.AcceptUnix()
		if err != nil {
			return // closed
		}
		a.conns.Go(func() { a.serve(conn) })
	}
}

// serve leaves errors to the sender, who sees the connection closed unanswered
// and reports it on the service's own stderr.
func (a *Agent) serve(conn *net.UnixConn) {
	defer func() { _ = conn.Close() }()
	state, notifyFD, err := receiveState(conn)
	if err != nil {
		return
	}
	if a.attach(state, notifyFD) == nil {
		_, _ = conn.Write([]byte{attached})
	}
}

// receiveState closes every descriptor that came in but the notifyFD, and that
// too on an error: a descriptor nobody knows of would never be closed.
func receiveState(conn *net.UnixConn) (State, *NotifyFD, error) {
	var fds []*linux.FD
	data, err := readState(conn, &fds)
	var state State
	if err == nil {
		state, err = parseState(data, len(fds))
	}
	var notifyFD *NotifyFD
	for i, fd := range fds {
		if err == nil && state.FDs[i] == seccompFDName && notifyFD == nil {
			notifyFD = NewNotifyFD(fd)
			continue
		}
		err = errors.Join(err, fd.Close())
	}
	if err == nil && notifyFD == nil {
		err = errors.New("receive hand-over: no seccompFd in it")
	}
	return state, notifyFD, err
}

// readState reads until the bytes are one JSON value, for a stream may be cut
// anywhere.
func readState(conn *net.UnixConn, fds *[]*linux.FD) ([]byte, error) {
	var data []byte
	buf := make([]byte, 64<<10)
	oob := make([]byte, unix.CmsgSpace(4*maxFDs))
	for len(data) < maxState {
		n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
		if perr := parseRights(oob[:oobn], fds); perr != nil {
			return nil, perr
		}
		data = append(data, buf[:n]...)
		if json.Valid(data) {
			return data, nil
		}
		if err != nil {
			return nil, fmt.Errorf("receive hand-over: %w", err)
		}
	}
	return nil, errors.New("receive hand-over: state is too long")
}

func parseRights(oob []byte, fds *[]*linux.FD) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return os.NewSyscallError("parse control message", err)
	}
	for i := range messages {
		rights, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // another kind of message
		}
		for _, fd := range rights {
			unix.CloseOnExec(fd)
			*fds = append(*fds, linux.NewFD(fd))
		}
	}
	return nil
}

func parseState(data []byte, fds int) (State, error) {
	var state State
	if err := json.Unmarshal(data, &state); err != nil {
		return State{}, fmt.Errorf("parse hand-over: %w", err)
	}
	if len(state.FDs) != fds {
		return State{}, fmt.Errorf("parse hand-over: %d descriptors named, %d received", len(state.FDs), fds)
	}
	return state, nil
}
