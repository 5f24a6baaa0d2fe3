package linux

import (
	"os"

	"golang.org/x/sys/unix"
)

// Event is a descriptor that is readable once Set was called (eventfd(2)): it
// ends a poll(2).
type Event struct{ *FD }

// NewEvent returns an Event that is not set.
func NewEvent() (*Event, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return &Event{NewFD(fd)}, nil
}

// Set makes the descriptor readable for good.
func (e *Event) Set() error {
	one := [8]byte{0: 1}                  // an integer in the byte order of this machine, and not 0
	_, err := unix.Write(e.Int(), one[:]) // does not block, so no signal interrupts it
	return os.NewSyscallError("write eventfd", err)
}
