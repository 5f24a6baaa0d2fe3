package seccomp

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

// ioctl requests of linux/seccomp.h.
const (
	ioctlRecv     = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	ioctlSend     = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	ioctlValid    = 0x40082102 // SECCOMP_IOCTL_NOTIF_ID_VALID
	ioctlAddFD    = 0x40182103 // SECCOMP_IOCTL_NOTIF_ADDFD, Linux 5.9
	ioctlSetFlags = 0x40082104 // SECCOMP_IOCTL_NOTIF_SET_FLAGS, Linux 6.6

	respContinue = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE, Linux 5.5
	addFDSet     = 1 // SECCOMP_ADDFD_FLAG_SETFD
	syncWakeUp   = 1 // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
	sizeofNotif  = 80
	sizeofResp   = 24
	sizeofAddFD  = 24
)

// Notification is struct seccomp_notif: one system call that waits for a
// response.
type Notification struct {
	ID    uint64
	PID   uint32 // the calling thread, in the receiver's PID namespace; 0 if not visible there
	Flags uint32
	Nr    int32 // system call number
	Arch  uint32
	IP    uint64
	Args  [6]uint64
}

type response struct {
	id    uint64
	val   int64
	error int32
	flags uint32
}

type addFD struct {
	id         uint64
	flags      uint32
	srcFD      uint32
	newFD      uint32
	newFDFlags uint32
}

// The kernel's struct sizes are part of its interface.
var (
	_ [sizeofNotif - unsafe.Sizeof(Notification{})]byte
	_ [sizeofResp - unsafe.Sizeof(response{})]byte
	_ [sizeofAddFD - unsafe.Sizeof(addFD{})]byte
)

// Expected ends.
var (
	// ErrGone: the caller was interrupted or has died, or the NotifyFD is closed;
	// the call needs no response.
	ErrGone = errors.New("notification is gone")
	// ErrInterrupted: the call was interrupted by a signal to this thread.
	ErrInterrupted = errors.New("interrupted")
)

// NotifyFD is seccomp's listener file descriptor, owned.
type NotifyFD struct {
	fd    *linux.FD
	calls *Calls // nil: what was received is forgotten with this process
}

// NewNotifyFD takes over fd.
func NewNotifyFD(fd *linux.FD) *NotifyFD { return &NotifyFD{fd: fd} }

// Record has every notification be in calls from its receipt to its response. It
// takes calls over, and must be called before the first Receive.
func (n *NotifyFD) Record(calls *Calls) { n.calls = calls }

// FD returns the descriptor, which stays the NotifyFD's, -1 after Close.
func (n *NotifyFD) FD() int { return n.fd.Int() }

// Close gives the descriptor up, and the Calls.
func (n *NotifyFD) Close() error {
	err := n.fd.Close()
	if n.calls != nil {
		err = errors.Join(err, n.calls.Close())
	}
	return err
}

// Receive waits for a notification and stores it in *to. With Record it may be
// called by one goroutine at a time. Errors:
//   - ErrInterrupted: see Interrupt; nothing was received;
//   - ErrGone: a caller gave up in the meantime, or (Linux 6.11) no task under
//     this filter is left;
//   - anything else: this NotifyFD is of no more use.
func (n *NotifyFD) Receive(to *Notification) error {
	at := to
	if n.calls != nil {
		if recorded := n.calls.next(); recorded != nil {
			at = recorded
		}
	}
	*at = Notification{} // the kernel demands zeroes
	errno := n.ioctl(ioctlRecv, unsafe.Pointer(at))
	switch {
	case errno == 0:
		if at != to {
			*to = *at
			n.calls.received(to.ID)
		}
		return nil
	case errors.Is(errno, unix.EINTR):
		return ErrInterrupted
	case errors.Is(errno, unix.ENOENT):
		return ErrGone
	}
	return os.NewSyscallError("receive notification", errno)
}

// IsDone tells whether no task under this filter is left, as Receive tells by
// itself from Linux 6.11 on, with ErrGone.
func (n *NotifyFD) IsDone() bool {
	fds := [1]unix.PollFd{{Fd: int32(n.fd.Int())}}
	_, err := unix.Poll(fds[:], 0)
	return err == nil && fds[0].Revents&(unix.POLLHUP|unix.POLLNVAL) != 0
}

// Continue lets the kernel perform the call as if there were no filter.
func (n *NotifyFD) Continue(id uint64) error {
	return n.send(&response{id: id, flags: respContinue})
}

// Return ends the call with errno, or with success for 0.
func (n *NotifyFD) Return(id uint64, errno unix.Errno) error {
	return n.send(&response{id: id, error: -int32(errno)})
}

func (n *NotifyFD) send(r *response) error {
	errno := n.ioctl(ioctlSend, unsafe.Pointer(r))
	switch {
	case errno == 0:
		n.answered(r.id)
		return nil
	case errors.Is(errno, unix.ENOENT):
		n.answered(r.id)
		return ErrGone
	}
	return os.NewSyscallError("send response", errno)
}

// answered comes after the response: if this process dies in between, the next one
// finds a call that is not valid any more.
func (n *NotifyFD) answered(id uint64) {
	if n.calls != nil {
		n.calls.answered(id)
	}
}

// IsValid tells whether the call still waits: whatever was read of the caller
// before is then truly the caller's.
func (n *NotifyFD) IsValid(id uint64) bool {
	errno := n.ioctl(ioctlValid, unsafe.Pointer(&id))
	if errors.Is(errno, unix.ENOENT) {
		n.answered(id) // whoever learns so may never respond
	}
	return errno == 0
}

// ReplaceFD makes descriptor target of the caller refer to the file of source.
func (n *NotifyFD) ReplaceFD(id uint64, source *linux.FD, target int, closeOnExec bool) error {
	arg := addFD{id: id, flags: addFDSet, srcFD: uint32(source.Int()), newFD: uint32(target)}
	if closeOnExec {
		arg.newFDFlags = unix.O_CLOEXEC
	}
	switch errno := n.ioctl(ioctlAddFD, unsafe.Pointer(&arg)); {
	case errno == 0:
		return nil
	case errors.Is(errno, unix.ENOENT):
		n.answered(id)
		return ErrGone
	default:
		return fmt.Errorf("replace descriptor %d of the caller: %w", target, errno)
	}
}

// SetSyncWakeUp switches the synchronous hand-over of notifications on or off
// (Linux 6.6): half the latency for one caller, less throughput for many.
func (n *NotifyFD) SetSyncWakeUp(on bool) error {
	var flags uintptr
	if on {
		flags = syncWakeUp
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(n.fd.Int()), ioctlSetFlags, flags)
	if errno != 0 {
		return os.NewSyscallError("set notification flags", errno)
	}
	return nil
}

func (n *NotifyFD) ioctl(request uintptr, arg unsafe.Pointer) unix.Errno {
	if n.fd.Int() < 0 {
		return unix.ENOENT // closed
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(n.fd.Int()), request, uintptr(arg))
	return errno
}
