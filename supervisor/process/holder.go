package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Holder returns the upall that has the project up, by its process, if one runs.
// A lock file that a killed upall has left counts for nothing, also when its pid
// is another process by now.
func Holder(base, project string) (pid int, running bool) {
	path, err := filepath.Abs(filepath.Join(base, project+".lock"))
	if err != nil {
		return 0, false
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || !hasOpen(pid, path) {
		return 0, false
	}
	return pid, true
}

// hasOpen tells whether the process has the file open. Trying the lock would tell
// too, but an upall that starts at the same moment would find it taken.
func hasOpen(pid int, path string) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == path {
			return true
		}
	}
	return false
}

// Terminate sends SIGTERM to the upall that has the project up and waits until
// it has ended, or ctx is over. It reports whether there was one.
func Terminate(ctx context.Context, base, project string) (found bool, err error) {
	pid, running := Holder(base, project)
	if !running {
		return false, nil
	}
	process, err := openProcess(pid)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("stop the upall of project %q (pid %d): %w", project, pid, err)
	}
	defer func() { err = errors.Join(err, process.Close()) }()
	// Asked again: what the descriptor means can no longer change.
	if now, running := Holder(base, project); !running || now != pid {
		return false, nil
	}
	if err := unix.PidfdSendSignal(int(process.Fd()), unix.SIGTERM, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return true, fmt.Errorf("stop the upall of project %q (pid %d): %w", project, pid, err)
	}
	if err := awaitEnd(ctx, process); err != nil {
		return true, fmt.Errorf("wait for the upall of project %q (pid %d): %w", project, pid, err)
	}
	return true, nil
}

// openProcess returns a descriptor of the process on which the Go runtime waits.
func openProcess(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// awaitEnd waits until the process has ended.
func awaitEnd(ctx context.Context, process *os.File) error {
	raw, err := process.SyscallConn()
	if err != nil {
		return err
	}
	// A deadline in the past ends the wait.
	stop := context.AfterFunc(ctx, func() { _ = process.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = raw.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 && err == nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
