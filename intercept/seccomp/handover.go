package seccomp

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

// The hand-over of a notifyFD, as the OCI runtime specification has it
// (config-linux.md, "The Container Process State"):
//
//	shim or runc                              Agent
//	    | connect (before the filter is set)    |
//	    | -- "\n" (the shim only) ------------> |
//	    | <----------------------- one byte --- |  "here": somebody will answer calls
//	    | install the filter                    |
//	    | -- state JSON + SCM_RIGHTS fds -----> |  State.Metadata tells who it is
//	    | <----------------------- one byte --- |  "attached": the shim execs; runc has closed already
//	    | close                                 |
//
// The Agent only looks at what it is sent (SO_PEEK_OFF) until attach has returned:
// with the descriptor of the connection a later process finds the whole of it once
// more, asks and answers included. So "here" may come again, and hand-overs that are
// attached already do.
const (
	here     = 'H'
	attached = 'A'
)

// seccompFDName is the entry of State.FDs that stands for the notifyFD.
const seccompFDName = "seccompFd"

const (
	maxState = 1 << 20 // bytes; a state is some hundred
	maxFDs   = 8
)

// State is the OCI ContainerProcessState, as far as it is used here.
type State struct {
	OCIVersion string   `json:"ociVersion"`
	FDs        []string `json:"fds"`
	// PID is the process that runs under the filter, in our PID namespace, as the
	// sender says; 0 if it does not. See Process.
	PID      int    `json:"pid,omitempty"`
	Metadata string `json:"metadata"`
	// Peer is the process that has connected, as the kernel says (SO_PEERCRED), in
	// our PID namespace; 0 if it is not in it. The Agent gives it.
	Peer int `json:"-"`
	// HandOver tells hand-overs apart. One that comes again, because the process
	// that took it was killed before it was done with it, has the same number. The
	// Agent gives it, never 0.
	HandOver uint64 `json:"-"`
}

// Who may hand over with some metadata is told by its beginning. The rest cannot be
// guessed.
const (
	byEngine = "upall:"
	byShim   = "upall-shim:"
)

// EngineMetadata returns new metadata for what an engine hands over.
func EngineMetadata() string { return byEngine + rand.Text() }

// ShimMetadata returns new metadata for what a shim hands over.
func ShimMetadata() string { return byShim + rand.Text() }

// Process returns the process that runs under the filter, 0 if it is not known. An
// engine is believed which process that is. What a shim hands over is its own: it runs
// in a container, where others reach the socket too and could name any process.
func (s State) Process() int {
	if s.PID == 0 || strings.HasPrefix(s.Metadata, byShim) {
		return s.Peer
	}
	return s.PID
}

// MarshalState returns the state that a shim sends for the instance that
// metadata identifies.
func MarshalState(metadata string) ([]byte, error) {
	return json.Marshal(State{OCIVersion: "1.0.2", FDs: []string{seccompFDName}, Metadata: metadata})
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
// anywhere. White space before it is the question whether we are here. All of it
// stays in the socket.
func readState(conn *net.UnixConn, fds *[]*linux.FD) ([]byte, error) {
	raw, err := peekFromStart(conn)
	if err != nil {
		return nil, fmt.Errorf("receive hand-over: %w", err)
	}
	var data []byte
	buf := make([]byte, 64<<10)
	oob := make([]byte, unix.CmsgSpace(4*maxFDs))
	for len(data) < maxState {
		n, oobn, err := peek(raw, buf, oob)
		if err != nil {
			return nil, fmt.Errorf("receive hand-over: %w", err)
		}
		if err := parseRights(oob[:oobn], fds); err != nil {
			return nil, err
		}
		data = append(data, buf[:n]...)
		if json.Valid(data) {
			return data, nil
		}
		if len(bytes.TrimSpace(data)) > 0 {
			continue
		}
		if _, err := conn.Write([]byte{here}); err != nil {
			return nil, fmt.Errorf("answer a hand-over: %w", err)
		}
	}
	return nil, errors.New("receive hand-over: state is too long")
}

// peekFromStart has the first peek begin with the first byte that waits, whatever
// another process has looked at.
func peekFromStart(conn *net.UnixConn) (syscall.RawConn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = os.NewSyscallError("setsockopt SO_PEEK_OFF", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0))
	})
	return raw, errors.Join(err, setErr)
}

// peek waits for bytes that were not looked at yet. They stay in the socket; of the
// descriptors that came with them it gives duplicates.
func peek(raw syscall.RawConn, buf, oob []byte) (n, oobn int, err error) {
	var peekErr error
	err = raw.Read(func(fd uintptr) bool {
		peekErr = unix.EINTR
		for errors.Is(peekErr, unix.EINTR) {
			n, oobn, _, _, peekErr = unix.Recvmsg(int(fd), buf, oob, unix.MSG_PEEK|unix.MSG_CMSG_CLOEXEC)
		}
		return !errors.Is(peekErr, unix.EAGAIN)
	})
	if err := errors.Join(err, os.NewSyscallError("recvmsg", peekErr)); err != nil {
		return 0, 0, err // the numbers may be negative
	}
	if n == 0 {
		return 0, 0, io.ErrUnexpectedEOF
	}
	return n, oobn, nil
}

// discard empties the socket, so that its end is an end to the sender and no
// reset.
func discard(conn *net.UnixConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 64<<10)
	_ = raw.Control(func(fd uintptr) {
		for {
			n, err := unix.Read(int(fd), buf) // it closes descriptors that came in
			if n <= 0 && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
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
