package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"upall/internal/linux"
)

// The messages are drawn in keeper.c.
const (
	verbPut   = "put "
	verbDrop  = "drop "
	verbEnd   = "end "
	verbReady = "ready"
)

// ready is what the keeper says behind the last entry.
type ready struct {
	life     int
	hasFirst bool
}

// receiveAll reads the entries up to "ready". On an error those that have come
// are returned too, for the caller to close.
func receiveAll(socket *net.UnixConn) (entries []Entry, end ready, err error) {
	buf := make([]byte, len(verbPut)+MaxName+1+MaxData)
	oob := make([]byte, syscall.CmsgSpace(4*MaxFDs))
	for {
		message, fds, err := receive(socket, buf, oob)
		if err != nil {
			return entries, ready{}, errors.Join(err, closeAll(fds))
		}
		if entry, ok := parsePut(message); ok {
			entry.FDs = fds
			entries = append(entries, entry)
			continue
		}
		end, err = parseReady(message)
		return entries, end, errors.Join(err, closeAll(fds))
	}
}

// receive reads one message into buf. The descriptors are the caller's, on an
// error too.
func receive(socket *net.UnixConn, buf, oob []byte) ([]byte, []*linux.FD, error) {
	n, oobn, flags, _, err := socket.ReadMsgUnix(buf, oob)
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("the keeper is gone")
	}
	if err != nil {
		return nil, nil, err
	}
	fds, err := parseRights(oob[:oobn])
	if err == nil && flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0 {
		err = errors.New("receive an entry: there is no room for its descriptors")
	}
	return buf[:n], fds, err
}

func parseRights(oob []byte) ([]*linux.FD, error) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, os.NewSyscallError("parse control message", err)
	}
	var fds []*linux.FD
	for i := range messages {
		rights, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			continue // another kind of message
		}
		for _, fd := range rights {
			fds = append(fds, linux.NewFD(fd)) // ReadMsgUnix has them close-on-exec
		}
	}
	return fds, nil
}

func parsePut(message []byte) (Entry, bool) {
	rest, isPut := bytes.CutPrefix(message, []byte(verbPut))
	name, data, isWhole := bytes.Cut(rest, []byte{0})
	if !isPut || !isWhole {
		return Entry{}, false
	}
	return Entry{Name: string(name), Data: bytes.Clone(data)}, true
}

func parseReady(message []byte) (ready, error) {
	var r ready
	var first int
	if _, err := fmt.Sscanf(string(message), verbReady+" %d %d", &r.life, &first); err != nil {
		return ready{}, fmt.Errorf("read the keeper's %q: %w", message, err)
	}
	r.hasFirst = first == 1
	return r, nil
}

func closeAll(fds []*linux.FD) error {
	var errs []error
	for _, fd := range fds {
		errs = append(errs, fd.Close())
	}
	return errors.Join(errs...)
}
