package usage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 everywhere.
const tick = time.Second / 100

// Table is all processes at one moment.
type Table struct {
	children map[int][]int
	all      map[int]process
}

// process is what /proc/PID/stat says of one.
type process struct {
	parent, threads int
	cpu             time.Duration // of its own, and of children that were waited for
}

// Processes reads who is whose child.
func Processes() (*Table, error) {
	folders, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	t := &Table{map[int][]int{}, map[int]process{}}
	for _, path := range folders {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, p, err := parseStat(text)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		t.children[p.parent] = append(t.children[p.parent], pid)
		t.all[pid] = p
	}
	return t, nil
}

// parseStat parses /proc/PID/stat (proc_pid_stat(5)): the name is in brackets and may have
// any in it; then come state and parent, the times as fields 14 to 17, and threads as
// field 20.
func parseStat(text []byte) (pid int, p process, err error) {
	const stateAt, parentAt, cpuAt, cpuEnd, threadsAt = 3, 4, 14, 18, 20
	open, end := bytes.IndexByte(text, ' '), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return 0, p, errors.New("it has no name")
	}
	fields := bytes.Fields(text[end+1:])
	if len(fields) <= threadsAt-stateAt {
		return 0, p, errors.New("it is too short")
	}
	var errs []error
	number := func(b []byte) int {
		n, err := strconv.Atoi(string(b))
		errs = append(errs, err)
		return n
	}
	pid, p.parent, p.threads = number(text[:open]), number(fields[parentAt-stateAt]), number(fields[threadsAt-stateAt])
	for _, f := range fields[cpuAt-stateAt : cpuEnd-stateAt] {
		p.cpu += time.Duration(number(f)) * tick
	}
	return pid, p, errors.Join(errs...)
}

// Program returns what a program uses, and all that descend from it or are its
// parent's by now: the guard's, which is not of it. It is zero of one that has
// ended.
func (t *Table) Program(pid int) (u Use) {
	program, ok := t.all[pid]
	if !ok {
		return u
	}
	u.CPU = t.all[program.parent].cpu // of those that it was the last to wait for
	var shared uint64
	for all := t.children[program.parent]; len(all) > 0; all = all[1:] {
		all = append(all, t.children[all[0]]...)
		own, shmem := memoryOfProcess(all[0])
		u.CPU += t.all[all[0]].cpu
		u.Memory += own
		u.PIDs += t.all[all[0]].threads
		shared = max(shared, shmem) // most likely the same for all
	}
	u.Memory += shared
	return u
}

// memoryOfProcess is what a process has in memory that is in no file
// (proc_pid_status(5)); 0 of one that has ended.
func memoryOfProcess(pid int) (own, shared uint64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	return kilobytes(text, "RssAnon:"), kilobytes(text, "RssShmem:")
}

func kilobytes(text []byte, name string) uint64 {
	_, rest, ok := bytes.Cut(text, []byte("\n"+name))
	if !ok {
		return 0
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
