// Package shim is what runs in front of a service's program: it makes the
// service's namespace of names, installs the seccomp filter, hands the notifyFD
// over and executes the program; in the process runtime it also leaves a guard
// behind that ends with upall.
//
// Use: Options.Args gives the arguments with which this same executable
// (/proc/self/exe) becomes the shim; Name must be argv[0], or its last part. In a
// container Entrypoint[0] is the path where the executable is mounted.
// Ownership: the shim closes every descriptor but the standard ones.
// Promises: any binary that links this package can be the shim, for a
// constructor of it runs before the Go runtime. Errors of the shim go to the
// service's stderr as "upall: ...", with exit codes 125 to 127 as Docker has them.
// Tests: run the test binary itself as a shim.
package shim

// The shim must not depend on shared libraries of a container's image and needs
// no C library of its own beyond what Go links statically.

// #cgo CFLAGS: -O2 -Wall
import "C"

import (
	"strconv"
	"strings"
)

// Name is the last part of the argv[0] by which the executable knows that it is the shim.
const Name = "upall-shim"

// Exit codes of the shim itself.
const (
	ExitSetup         = 125
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// KillAll is the order to the guard that kills the program and all its descendants.
const KillAll = 255

// Options say what the shim does before the program runs. A zero value is left out.
type Options struct {
	GuardFD      int    // descriptor of the guard's end of the control socket
	Hosts        string // file to see as /etc/hosts
	UserNS       bool   // make the namespace for Hosts without privilege
	Filter       string // file of the seccomp program
	WaitKillable bool   // held calls ignore signals but deadly ones
	Socket       string // of the Agent
	State        string // file of the state to send
	// Optional is for containers, which may be started without upall: if the
	// hand-over cannot be had, the program runs without it. Programs are executed
	// as Docker does it.
	Optional bool
	User     *User
}

// User is whom the program runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32
}

// Args returns argv for the shim in front of command.
func (o Options) Args(command []string) []string {
	args := []string{Name}
	add := func(key, value string) {
		if value != "" {
			args = append(args, key+"="+value)
		}
	}
	if o.GuardFD != 0 {
		add("guard", strconv.Itoa(o.GuardFD))
	}
	add("hosts", o.Hosts)
	add("userns", flag(o.UserNS))
	add("filter", o.Filter)
	add("killable", flag(o.WaitKillable))
	add("socket", o.Socket)
	add("state", o.State)
	add("optional", flag(o.Optional))
	if o.User != nil {
		add("gid", id(o.User.GID))
		var groups []string
		for _, g := range o.User.Groups {
			groups = append(groups, id(g))
		}
		args = append(args, "groups="+strings.Join(groups, ","))
		add("uid", id(o.User.UID))
	}
	return append(append(args, "--"), command...)
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

func id(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
