package linux

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// KillIf kills the process pid if is says that it is the one that is meant. It is
// asked when pid can no longer become another process's. One that has ended is no
// error.
func KillIf(pid int, is func() (bool, error)) (err error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	owner := NewFD(pidfd)
	defer func() { err = errors.Join(err, owner.Close()) }()
	isMeant, err := is()
	if err != nil || !isMeant {
		return err
	}
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, os.NewSyscallError("pidfd_send_signal", err))
	}
	return nil
}

// KillMarked kills the processes that began with the entry ("NAME=value") in
// their environment (proc(5), "environ") and can be looked into.
func KillMarked(entry string) error {
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range found {
		if !hasEntry(path, entry) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil {
			err = KillIf(pid, func() (bool, error) { return hasEntry(path, entry), nil })
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hasEntry looks for an entry of an environment that can be read.
func hasEntry(path, entry string) bool {
	environ, err := os.ReadFile(path)
	return err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+entry+"\x00"))
}
