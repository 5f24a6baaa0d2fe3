package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processes returns the processes of the project that are alive, upall's own
// included: those that carry its mark or are in its folder.
func (p *project) processes() (map[int]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	found := make(map[int]string)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if p.owns(filepath.Join("/proc", entry.Name())) {
			found[pid] = commandLine(pid)
		}
	}
	return found, nil
}

// owns tells whether a folder of /proc is that of a process of the project.
// Processes that end meanwhile, or that we may not read, are not: neither has
// an environment or a folder for us.
func (p *project) owns(proc string) bool {
	environment, err := os.ReadFile(filepath.Join(proc, "environ"))
	if err == nil && bytes.Contains(append([]byte{0}, environment...), []byte("\x00"+p.mark()+"\x00")) {
		return true
	}
	folder, err := os.Readlink(filepath.Join(proc, "cwd"))
	return err == nil && (folder == p.folder || strings.HasPrefix(folder, p.folder+"/"))
}

func commandLine(pid int) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "?"
	}
	return string(bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '}))
}

// killSupervisor kills the project's supervisor, and before it the keeper, which
// would start it again.
func (p *project) killSupervisor() {
	p.t.Helper()
	found, err := p.processes()
	if err != nil {
		p.t.Fatalf("look for the supervisor: %v", err)
	}
	killed := 0
	for _, isKeeper := range []bool{true, false} {
		for pid, command := range found {
			if !strings.HasSuffix(command, " supervise -- "+p.name) || strings.HasPrefix(command, "upall-keeper ") != isKeeper {
				continue
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				p.t.Fatalf("kill %q: %v", command, err)
			}
			killed++
		}
	}
	if killed != 2 {
		p.t.Fatalf("%d processes are the project's keeper or supervisor, want 2 among %v", killed, found)
	}
}

// nothingLeft fails the test if processes of the project are still there
// after limit, and ends them.
func (p *project) nothingLeft(limit time.Duration) {
	p.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(limit)
	for {
		left, err := p.processes()
		if err != nil {
			p.t.Errorf("look for processes: %v", err)
			return
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			p.endAll(left)
			return
		}
	}
}

func (p *project) endAll(left map[int]string) {
	p.t.Helper()
	for pid, command := range left {
		p.t.Errorf("left behind: process %d %s", pid, command)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			p.t.Errorf("end process %d: %v", pid, err)
		}
	}
}
