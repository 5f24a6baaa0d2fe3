package seccomp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

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
	// PID is the process that runs under the filter, in our PID namespace; 0 if
	// it is not known. An Agent fills it in where the sender is that process.
	PID      int    `json:"pid,omitempty"`
	Metadata string `json:"metadata"`
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
// anywhere. White space before it is the question whether we are here.
func readState(conn *net.UnixConn, fds *[]*linux.FD) ([]byte, error) {
	var data []byte
	buf := make([]byte, 64<<10)
	oob := make([]byte, unix.CmsgSpace(4*maxFDs))
	for len(data) < maxState {
		n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
		if err != nil { // the numbers may be negative then
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
