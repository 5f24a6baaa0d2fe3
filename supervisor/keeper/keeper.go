// Package keeper is what survives a supervisor: its parent, a small process that
// holds named entries (bytes and descriptors), gives them back to the next life
// of a supervisor that died, and knows nothing of what they are.
//
// Use: Command starts a keeper, which starts this executable as the supervisor.
// That calls Adopt first of all, but after it asked for its signals; then Put and
// Drop while it runs, and End before it exits for good.
// Ownership: Conn owns the socket, descriptor 3, and a goroutine. Who receives an
// Entry owns its descriptors; those given to Put stay the caller's, the keeper
// has duplicates. What survives only there is closed by Drop or End.
// Promises: what Put, Drop and End told before the process died is known to its
// next life, whatever it died of. Entries come back in the order in which their
// names were first put. A supervisor that dies without End lives again at once,
// after a pause if it lived less than 50 ms; one that dies before its first Put
// is given up, with its exit code. SIGTERM and SIGINT to the keeper reach the
// supervisor when it has adopted, and each next life that did not End; SIGHUP and
// all others are ignored. If the keeper dies the supervisor lives on, see Gone.
// Tests: run the test binary itself as the keeper and as the supervisor.
package keeper

// The keeper is C, in a constructor that runs before the Go runtime starts.

// #cgo CFLAGS: -O2 -Wall
import "C"

import (
	"os"
	"os/exec"
	"syscall"

	"upall/internal/linux"
)

// Name is the last part of the argv[0] by which the executable knows that it is
// the keeper.
const Name = "upall-keeper"

// Bounds of an entry, as in keeper.h.
const (
	MaxName = 255      // bytes
	MaxData = 32 << 10 // bytes
	MaxFDs  = 8
)

// Descriptors of the supervisor, as in keeper.c.
const (
	socketFD = 3
	firstFD  = 4
)

// Entry is what was put under a name.
type Entry struct {
	Name string
	Data []byte
	FDs  []*linux.FD // close-on-exec
}

// Command returns how to start a keeper whose supervisor is this executable with
// args, of which the first is argv[0]. The first life of the supervisor gets the
// file (Conn.First), which stays the caller's; it may be nil. The keeper is a
// session of its own and belongs to no context: it is to outlive its starter.
func Command(args []string, first *os.File) *exec.Cmd {
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{Name}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if first != nil {
		cmd.Args = append(cmd.Args, "first=3") // where the first of ExtraFiles goes
		cmd.ExtraFiles = []*os.File{first}
	}
	cmd.Args = append(append(cmd.Args, "--"), args...)
	return cmd
}
