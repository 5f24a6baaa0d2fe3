package sockdiag

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Holder is who listens on a port.
type Holder struct {
	Local netip.AddrPort
	UID   uint32
	PID   int    // 0: not visible to this user, or not in this PID namespace
	Name  string // the process's name (proc_pid_comm(5)); valid iff PID is not 0
}

// String names the holder in words that fit after "is in use by".
func (h Holder) String() string {
	if h.PID == 0 {
		return fmt.Sprintf("a process of user %d", h.UID)
	}
	return fmt.Sprintf("%s (pid %d)", h.Name, h.PID)
}

// WhoListens returns who listens on any of the TCP ports, by port and address.
// It walks all of /proc: it is for messages, not for a hot path.
func (c *Conn) WhoListens(ports ...uint16) ([]Holder, error) {
	listeners, err := c.Listeners()
	if err != nil {
		return nil, err
	}
	listeners = slices.DeleteFunc(listeners, func(s Socket) bool { return !slices.Contains(ports, s.Local.Port()) })
	wanted := make(map[uint32]bool, len(listeners))
	for _, s := range listeners {
		wanted[s.Inode] = true
	}
	owners := findOwners(wanted)
	holders := make([]Holder, 0, len(listeners))
	for _, s := range listeners {
		holder := Holder{Local: s.Local, UID: s.UID}
		if owner, ok := owners[s.Inode]; ok {
			holder.PID, holder.Name = owner.pid, owner.name
		}
		holders = append(holders, holder)
	}
	slices.SortFunc(holders, func(a, b Holder) int {
		if byPort := int(a.Local.Port()) - int(b.Local.Port()); byPort != 0 {
			return byPort
		}
		return a.Local.Compare(b.Local)
	})
	return holders, nil
}

// Owner returns a process that has the socket with this inode open. It is
// false when this user may see none.
func Owner(inode uint32) (pid int, name string, ok bool) {
	owner, ok := findOwners(map[uint32]bool{inode: true})[inode]
	return owner.pid, owner.name, ok
}

type owner struct {
	pid  int
	name string
}

// findOwners walks /proc/*/fd once. Of several processes that share a socket
// the oldest, with the smallest number, is the owner.
func findOwners(wanted map[uint32]bool) map[uint32]owner {
	found := make(map[uint32]owner, len(wanted))
	// The pattern is a constant; Glob fails only on a malformed one.
	folders, _ := filepath.Glob("/proc/[0-9]*/fd")
	for _, folder := range folders {
		process := filepath.Dir(folder)
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		for inode := range socketsOf(folder, wanted) {
			if old, known := found[inode]; !known || pid < old.pid {
				found[inode] = owner{pid: pid, name: nameOf(process)}
			}
		}
	}
	return found
}

// socketsOf returns which of the wanted sockets are open. None when the
// process is gone or another user's.
func socketsOf(folder string, wanted map[uint32]bool) map[uint32]bool {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	open := make(map[uint32]bool)
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(folder, entry.Name()))
		if err != nil {
			continue
		}
		if inode, ok := inodeOf(target); ok && wanted[inode] {
			open[inode] = true
		}
	}
	return open
}

// inodeOf reads a link of /proc/PID/fd (proc_pid_fd(5)).
func inodeOf(target string) (uint32, bool) {
	rest, ok := strings.CutPrefix(target, "socket:[")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 32)
	return uint32(inode), err == nil
}

func nameOf(process string) string {
	name, err := os.ReadFile(filepath.Join(process, "comm"))
	if err != nil {
		return "a process that ended"
	}
	return strings.TrimSpace(string(name))
}
