package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// cleanUp removes what an upall that was killed has left.
func (s *State) cleanUp() error {
	if err := s.lock.Truncate(0); err != nil {
		return err
	}
	if _, err := os.Stat(s.dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	killMarked(markerVariable + "=" + s.dir)
	return os.RemoveAll(s.dir)
}

// killMarked kills the processes that have the entry in their environment. Their
// guard should have done so already. Whoever started this process is spared: it
// may have been a shell that a service of the project has left.
func killMarked(entry string) {
	spared := ancestors(os.Getpid())
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		env, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+entry+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(path, "/")[2]); err == nil && !slices.Contains(spared, pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// ancestors returns the process, its parent, and so on up to the first that
// cannot be seen.
func ancestors(pid int) (all []int) {
	for pid > 0 {
		all = append(all, pid)
		pid = parentOf(pid)
	}
	return all
}

// parentOf returns 0 where there is none to be seen (proc(5), "stat").
func parentOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	rest := stat[bytes.LastIndexByte(stat, ')')+1:] // the name before it may hold anything
	fields := strings.Fields(string(rest))
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}
