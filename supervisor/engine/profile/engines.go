package profile

import (
	"fmt"
	"slices"

	"github.com/moby/profiles/seccomp"
)

// apiVersion is a version of the engine's API, which tells the engine's age.
type apiVersion struct{ major, minor int }

func parseAPI(s string) (v apiVersion, err error) {
	if _, err := fmt.Sscanf(s, "%d.%d", &v.major, &v.minor); err != nil {
		return v, fmt.Errorf("read the engine's API version %q: %w", s, err)
	}
	return v, nil
}

func (v apiVersion) before(w apiVersion) bool {
	return v.major < w.major || v.major == w.major && v.minor < w.minor
}

// added are calls that the profiles built into older engines than those of an
// API version deny: the module's profile is that of the newest engine. unless is
// the capability with which they allowed them. (What newer ones deny stays
// denied on older engines too: sockets of AF_ALG, io_uring before 1.44. A newer
// patch of an old engine may deny it as well.)
var added = []struct {
	since  apiVersion
	unless string
	calls  []string
}{
	{apiVersion{1, 44}, "CAP_SYS_ADMIN", []string{"name_to_handle_at"}},
	{apiVersion{1, 45}, "", []string{
		"cachestat", "fchmodat2", "futex_requeue", "futex_wait", "futex_wake", "map_shadow_stack", "set_mempolicy_home_node",
	}},
	{apiVersion{1, 51}, "", []string{
		"getxattrat", "listmount", "listxattrat", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mseal",
		"removexattrat", "riscv_hwprobe", "setxattrat", "statmount", "uretprobe",
	}},
}

// restrict takes out of the entries what engines of that version do not allow.
func restrict(entries []*seccomp.Syscall, version apiVersion) []*seccomp.Syscall {
	for _, a := range added {
		if !version.before(a.since) {
			continue
		}
		for _, e := range entries {
			if e.Action == actAllow {
				e.Names = slices.DeleteFunc(e.Names, func(name string) bool { return slices.Contains(a.calls, name) })
			}
		}
		if a.unless != "" {
			e := &seccomp.Syscall{Includes: &seccomp.Filter{Caps: []string{a.unless}}}
			e.Names, e.Action = a.calls, actAllow
			entries = append(entries, e)
		}
	}
	return slices.DeleteFunc(entries, func(e *seccomp.Syscall) bool { return len(e.Names) == 0 })
}
