package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"

	profiles "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"upall/intercept/seccomp"
)

const (
	actAllow  = specs.ActAllow
	actNotify = specs.ActNotify
)

// Why a profile cannot be merged.
var (
	// ErrNotifies: the profile notifies another program, and a container can
	// notify one only.
	ErrNotifies = errors.New("the seccomp profile has a listener of its own")
	// ErrNothing: the profile allows none of the calls, or not for sure.
	ErrNothing = errors.New("the seccomp profile leaves no connect or listen to be notified of")
)

// Merge returns the base as JSON in which the calls of the filter notify the
// socket at listenerPath with the metadata, and io_uring_setup is as the filter
// has it. For one call libseccomp takes a rule without a condition instead of all
// with one, so a call is taken out of the base's entries and comes back as
// rules that notify and rules that allow the rest.
//
// A call stays as it is where the base does not simply allow it: where it is
// denied, or its arguments are looked at, or entries contradict each other.
func Merge(base Base, filter seccomp.Filter, listenerPath, metadata string) ([]byte, error) {
	profile, err := decode(base.body)
	if err != nil {
		return nil, err
	}
	if notifies(profile) {
		return nil, ErrNotifies
	}
	for _, e := range profile.Syscalls {
		renew(e)
	}
	m := merging{profile, map[string][]seccomp.Rule{}}
	for _, r := range filter.Rules() {
		m.rules[r.Call] = append(m.rules[r.Call], r)
	}
	for call, rules := range m.rules {
		if !m.simplyAllowed(call, rules) {
			delete(m.rules, call)
		}
	}
	m.replace()
	if !notifies(profile) {
		return nil, ErrNothing
	}
	profile.ListenerPath, profile.ListenerMetadata = listenerPath, metadata
	body, err := json.Marshal(profile)
	if err != nil {
		return nil, fmt.Errorf("encode seccomp profile: %w", err)
	}
	return body, nil
}

// renew turns the old form of an entry, with one name, into the new one.
func renew(e *profiles.Syscall) {
	//nolint:staticcheck // deprecated, and still what users' profiles may have
	if e.Name != "" {
		e.Names, e.Name = append(e.Names, e.Name), ""
	}
}

func notifies(profile *profiles.Seccomp) bool {
	return profile.ListenerPath != "" || slices.ContainsFunc(profile.Syscalls, func(e *profiles.Syscall) bool { return e.Action == actNotify })
}

// merging is a profile and the rules to get into it, by call.
type merging struct {
	*profiles.Seccomp
	rules map[string][]seccomp.Rule
}

// simplyAllowed tells whether each entry that names the call allows it whatever
// its arguments are, and, where no entry need name it, so does the default. Only
// a call that is to fail may have conditions: it fails under them.
func (m merging) simplyAllowed(call string, rules []seccomp.Rule) bool {
	fails := rules[0].Action == seccomp.NoSys
	named := m.DefaultAction == actAllow
	for _, e := range m.Syscalls {
		if !slices.Contains(e.Names, call) {
			continue
		}
		named = true
		if e.Action != actAllow || len(e.Args) > 0 && !fails && m.DefaultAction != actAllow {
			return false
		}
	}
	return named
}

// replace takes the calls out of the entries and puts their rules there. Where
// the default allows them, rules without an entry do.
func (m merging) replace() {
	var entries []*profiles.Syscall
	for _, e := range m.Syscalls {
		var calls []string
		e.Names = slices.DeleteFunc(e.Names, func(name string) bool {
			_, ours := m.rules[name]
			if ours {
				calls = append(calls, name)
			}
			return ours
		})
		if len(e.Names) > 0 {
			entries = append(entries, e)
		}
		if m.DefaultAction == actAllow {
			continue
		}
		for _, call := range calls {
			entries = append(entries, m.split(*e, call)...)
		}
	}
	if m.DefaultAction == actAllow {
		for _, call := range slices.Sorted(maps.Keys(m.rules)) {
			entries = append(entries, m.split(profiles.Syscall{}, call)...)
		}
	}
	m.Syscalls = entries
}

// split returns the rules of the call as entries that are included and excluded
// as e is.
func (m merging) split(e profiles.Syscall, call string) []*profiles.Syscall {
	var entries []*profiles.Syscall
	for _, r := range m.rules[call] {
		n := e
		n.Names, n.Comment = []string{call}, ""
		switch r.Action {
		case seccomp.Pass:
			if m.DefaultAction == actAllow {
				continue
			}
			n.Action = actAllow
		case seccomp.Notify:
			n.Action = actNotify
		case seccomp.NoSys:
			errno := uint(syscall.ENOSYS)
			n.Action, n.ErrnoRet = specs.ActErrno, &errno
		}
		if r.When != nil {
			n.Args = []specs.LinuxSeccompArg{argument(*r.When)}
		}
		entries = append(entries, &n)
	}
	return entries
}

// argument writes a condition as profiles have it: value is the mask there.
func argument(c seccomp.Condition) specs.LinuxSeccompArg {
	if c.Op == seccomp.AtLeast {
		return specs.LinuxSeccompArg{Index: c.Arg, Value: c.Value, Op: specs.OpGreaterEqual}
	}
	return specs.LinuxSeccompArg{Index: c.Arg, Value: c.Mask, ValueTwo: c.Value, Op: specs.OpMaskedEqual}
}
