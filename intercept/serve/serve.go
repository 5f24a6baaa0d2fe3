// Package serve tells when a program that listens also serves.
//
// Some servers perform listen(2) long before they give service: PostgreSQL
// turns logins away while it starts or recovers, Redis while it loads its
// data. A client that is let through in that window gets an error where it
// expected to wait.
//
// Use: For finds the Probe of a listening program by its name, or none; Wait
// then blocks until the program gives service. MayListenEarly judges a command
// before it runs.
// Ownership: Wait owns the connection that it opens and closes it before it
// returns; the package starts no goroutine and keeps no state.
// Promises: a doubt never holds a client. An answer that a probe does not
// understand counts as service, so does a silence of 10 s on an accepted
// connection. A probe logs in nowhere and changes nothing in the server.
// Tests: the judgement of replies is pure (tables and fuzzing); the tests
// against real servers skip where a server is not installed.
package serve

import (
	"path"
	"slices"
	"strings"
)

// verdict is what the bytes that a server has sent so far mean.
type verdict int

const (
	undecided verdict = iota // more bytes are needed
	serving                  // a client gets service, or we cannot tell
	starting                 // a client would be turned away
	silent                   // the server closed the connection without a word
)

// Probe is the least handshake of one protocol that tells a server that serves
// from one that still starts. A Probe is immutable.
type Probe struct {
	name  string
	hello []byte // what the client says first; empty when the server speaks first
	// judge is pure. ended says that no byte follows; it must then decide.
	judge func(reply []byte, ended bool) verdict
	// bye is what a polite client says at last, given the reply; nil = nothing.
	bye func(reply []byte) []byte
}

// String returns the name of the protocol.
func (p Probe) String() string { return p.name }

// For returns the probe for a listening program. The names are those it is
// known by: the base name of its executable and its comm (proc_pid_comm(5)). The
// two differ where an executable is a link: Debian's redis-server is one to
// redis-check-rdb. It returns false for a program that has no probe.
func For(names ...string) (Probe, bool) {
	for _, name := range names {
		if p, ok := byName(name); ok {
			return p, true
		}
	}
	return Probe{}, false
}

func byName(name string) (Probe, bool) {
	// The kernel adds the suffix when the file was replaced: proc_pid_exe(5).
	name = strings.TrimSuffix(path.Base(name), " (deleted)")
	switch name {
	case "postgres", "postmaster":
		return postgres(), true
	case "redis-server", "valkey-server":
		return redis(), true
	case "mysqld", "mariadbd":
		return mysql(), true
	}
	return Probe{}, false
}

// MayListenEarly reports whether a service may listen before it serves, judged
// by its command and a port on which it will listen: a word of the command
// names a program that has a probe or one of its usual wrappers, or the port is
// such a program's well-known one. An early listener must not be used for it.
// The answer errs towards true, which costs a service nothing but that.
func MayListenEarly(command []string, port uint16) bool {
	switch port {
	case 5432, 6379, 3306:
		return true
	}
	return slices.ContainsFunc(command, namesEarlyProgram)
}

// namesEarlyProgram looks into word as a shell would: it may be the script of
// "sh -c".
func namesEarlyProgram(word string) bool {
	isSeparator := func(r rune) bool { return strings.ContainsRune(" \t\n;&|()\"'`=$", r) }
	for part := range strings.FieldsFuncSeq(word, isSeparator) {
		name := path.Base(part)
		if _, ok := byName(name); ok {
			return true
		}
		switch name {
		case "pg_ctl", "pg_ctlcluster", "mysqld_safe", "mariadbd-safe":
			return true
		}
	}
	return false
}
