package usage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Use is what something uses.
type Use struct {
	CPU    time.Duration // so far
	Memory uint64        // bytes, without what the kernel can drop: pages of files that nobody has used lately
	PIDs   int           // threads, as control groups count them
}

// ErrNoGroup is returned, wrapped, for a process that has no control group for
// itself, or none that can be seen from here.
var ErrNoGroup = errors.New("no control group of its own")

// Container returns what the control group of a process uses, of version 1 or 2
// (cgroups(7)). The process is the first of a container.
func Container(pid int) (Use, error) {
	return container(fmt.Sprintf("/proc/%d/cgroup", pid), "/sys/fs/cgroup")
}

func container(file, mount string) (Use, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Use{}, err
	}
	groups := groupsOf(string(text))
	if dir, ok := groups["memory"]; ok {
		return version1(mount, groups, dir)
	}
	dir, err := visible(groups[""])
	if err != nil {
		return Use{}, err
	}
	dir = filepath.Join(mount, dir)
	micros, err := field(filepath.Join(dir, "cpu.stat"), "usage_usec")
	memory, memoryErr := memoryOf(filepath.Join(dir, "memory.current"), filepath.Join(dir, "memory.stat"), "inactive_file")
	pids, pidsErr := field(filepath.Join(dir, "pids.current"), "")
	return Use{time.Duration(micros) * time.Microsecond, memory, int(pids)}, errors.Join(err, memoryErr, pidsErr)
}

func version1(mount string, groups map[string]string, memoryDir string) (Use, error) {
	memoryDir, err := visible(memoryDir)
	if err != nil {
		return Use{}, err
	}
	memoryDir = filepath.Join(mount, "memory", memoryDir)
	nanos, err := field(filepath.Join(mount, "cpuacct", groups["cpuacct"], "cpuacct.usage"), "")
	memory, memoryErr := memoryOf(filepath.Join(memoryDir, "memory.usage_in_bytes"), filepath.Join(memoryDir, "memory.stat"), "total_inactive_file")
	pids, pidsErr := field(filepath.Join(mount, "pids", groups["pids"], "pids.current"), "")
	return Use{time.Duration(nanos), memory, int(pids)}, errors.Join(err, memoryErr, pidsErr)
}

// visible refuses the root's group, which is of everybody, and one above what is
// mounted here.
func visible(dir string) (string, error) {
	if dir == "" || dir == "/" || strings.HasPrefix(dir, "/..") {
		return "", fmt.Errorf("control group %q: %w", dir, ErrNoGroup)
	}
	return dir, nil
}

// groupsOf reads /proc/PID/cgroup: the folder by controller, "" for version 2.
func groupsOf(text string) map[string]string {
	groups := map[string]string{}
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			groups[controller] = parts[2]
		}
	}
	return groups
}

func memoryOf(usage, stat, droppable string) (uint64, error) {
	used, err := field(usage, "")
	if err != nil {
		return 0, err
	}
	inactive, err := field(stat, droppable)
	return used - min(inactive, used), err
}

// field reads a file of lines "name number"; without a name the file is a number.
func field(path, name string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		value := strings.TrimSpace(line)
		if name != "" {
			var is bool
			if value, is = strings.CutPrefix(value, name+" "); !is {
				continue
			}
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", path, err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("read %s: it has no %q", path, name)
}
