package linux

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// pidfdThread is PIDFD_THREAD of pidfd_open(2), Linux 6.9: it is O_EXCL.
const pidfdThread = unix.O_EXCL

// ErrOtherFiles says that a thread does not share its leader's file table, so
// that the leader's descriptor could be another file.
var ErrOtherFiles = errors.New("thread does not share the descriptors of its process")

// ReadMemory fills buf from address addr of the thread tid, as far as mapped
// memory reaches, and returns the number of bytes (process_vm_readv(2)).
func ReadMemory(tid int, addr uintptr, buf []byte) (int, error) {
	local := [1]unix.Iovec{{Base: &buf[0]}}
	local[0].SetLen(len(buf))
	remote := [1]unix.RemoteIovec{{Base: addr, Len: len(buf)}}
	n, err := unix.ProcessVMReadv(tid, local[:], remote[:], 0)
	if err != nil {
		return 0, os.NewSyscallError("process_vm_readv", err)
	}
	return n, nil
}

// DupFD duplicates descriptor fd of the thread tid (pidfd_getfd(2), Linux 5.6).
// With threadFDs (PIDFD_THREAD, Linux 6.9) the thread itself is asked; without
// it the leader is, and the result is compared with /proc/TID/fd: a thread
// with a file table of its own gives ErrOtherFiles.
func DupFD(tid, fd int, threadFDs bool) (*FD, error) {
	if threadFDs {
		dup, err := dupFrom(tid, fd, pidfdThread)
		if !errors.Is(err, unix.EINVAL) {
			return dup, err
		}
	}
	tgid, err := ThreadGroup(tid)
	if err != nil {
		return nil, err
	}
	dup, err := dupFrom(tgid, fd, 0)
	if err != nil {
		return nil, err
	}
	if tid == tgid {
		return dup, nil
	}
	if !isSameFile(dup, tid, fd) {
		return nil, errors.Join(ErrOtherFiles, dup.Close())
	}
	return dup, nil
}

func dupFrom(pid, fd, flags int) (*FD, error) {
	pidfd, err := unix.PidfdOpen(pid, flags)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	owner := NewFD(pidfd)
	n, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err := errors.Join(os.NewSyscallError("pidfd_getfd", err), owner.Close()); err != nil {
		return nil, err
	}
	return NewFD(n), nil
}

func isSameFile(dup *FD, tid, fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(dup.Int(), &st) != nil {
		return false
	}
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, fd))
	return err == nil && link == fmt.Sprintf("socket:[%d]", st.Ino)
}

// ThreadGroup returns the process (thread group) that the thread tid is of.
func ThreadGroup(tid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(status, []byte("\nTgid:"))
	if !ok {
		return 0, fmt.Errorf("read Tgid of thread %d: no such line", tid)
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.Atoi(strings.TrimSpace(string(line)))
}

// ProgramNames returns the names by which the program of thread tid may be
// known: its executable's base name and its command name (proc(5), "exe" and
// "comm"). They differ where the executable was started through a link.
func ProgramNames(tid int) []string {
	var names []string
	var buf [unix.PathMax]byte
	dir := "/proc/" + strconv.Itoa(tid)
	if n, err := unix.Readlink(dir+"/exe", buf[:]); err == nil {
		names = append(names, strings.TrimSuffix(filepath.Base(string(buf[:n])), " (deleted)"))
	}
	fd, err := unix.Open(dir+"/comm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return names
	}
	// One read is all of it; package os would add the poller's calls, and clients wait.
	if n, err := unix.Read(fd, buf[:]); err == nil {
		names = append(names, strings.TrimSpace(string(buf[:n])))
	}
	_ = unix.Close(fd) // it was only read
	return names
}

// IsCloseOnExec tells whether descriptor fd of process pid has FD_CLOEXEC
// (proc(5), "fdinfo": flags in octal).
func IsCloseOnExec(pid, fd int) bool {
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(info, []byte("flags:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	flags, err := strconv.ParseUint(strings.TrimSpace(string(line)), 8, 64)
	return err == nil && flags&unix.O_CLOEXEC != 0
}
