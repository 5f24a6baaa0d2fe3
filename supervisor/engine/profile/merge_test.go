package profile

import (
	"encoding/json"
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	profiles "github.com/moby/profiles/seccomp"
	"golang.org/x/sys/unix"

	"upall/intercept/seccomp"
)

// must fails the test for an error of making a Base.
func must(t *testing.T) func(Base, error) Base {
	return func(b Base, err error) Base {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func merge(t *testing.T, base Base, filter seccomp.Filter) []byte {
	t.Helper()
	body, err := Merge(base, filter, "/run/agent", "web-1")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// samples are arguments at which something may change its meaning.
func samples() []uint64 {
	var s []uint64
	for i := range uint64(132) {
		s = append(s, i)
	}
	return append(s, 1<<14, msgFastOpen, msgFastOpen|1<<14, 0x7e020000, 1<<31, 0xfffffff0, 1<<32-1, 1<<32, 1<<32+16, 1<<32+110, 1<<63, 1<<64-1)
}

const msgFastOpen = 0x20000000

// calls are all calls with a few arguments, and those of the filter with many.
func calls() []call {
	var list []call
	add := func(nr uint32, args int, values []uint64) {
		for _, v := range values {
			for arg := range args {
				c := call{arch: archX8664, nr: nr}
				c.args[arg] = v
				list = append(list, c)
			}
		}
	}
	for nr := range uint32(500) {
		list = append(list, call{arch: archI386, nr: nr}, call{arch: archX8664, nr: nr | x32})
		add(nr, 2, []uint64{0, 0x20000, 0x7e020000, 1<<64 - 1})
	}
	for _, nr := range []uint32{unix.SYS_CONNECT, unix.SYS_LISTEN, unix.SYS_BIND, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_IO_URING_SETUP, unix.SYS_SOCKET} {
		add(nr, 4, samples())
	}
	return list
}

// TestMergeIsNeverWeaker: a call is as without upall, or notified where it was
// allowed and the filter says so, or io_uring_setup with ENOSYS.
func TestMergeIsNeverWeaker(t *testing.T) {
	get := must(t)
	own := func(body string) Base { return get(Parse([]byte(body))) }
	bases := map[string]Base{
		"1.42": get(Builtin("1.42")), "1.45": get(Builtin("1.45")), "1.52": get(Builtin("1.52")), "unconfined": get(Unconfined()),
		"twice":       own(`{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],"syscalls":[{"names":["connect","read","listen","sendto"],"action":"SCMP_ACT_ALLOW"},{"name":"connect","action":"SCMP_ACT_ALLOW","includes":{"arches":["amd64"]}}]}`),
		"conditions":  own(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["listen","io_uring_setup"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":5,"op":"SCMP_CMP_EQ"}]},{"names":["connect"],"action":"SCMP_ACT_ALLOW"}]}`),
		"denies some": own(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["connect","sendmsg"],"action":"SCMP_ACT_ERRNO","errnoRet":13},{"names":["io_uring_setup"],"action":"SCMP_ACT_KILL"}]}`),
		"logs":        own(`{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":["listen"],"action":"SCMP_ACT_ALLOW"},{"names":["bind"],"action":"SCMP_ACT_ERRNO"}]}`),
		"capability":  own(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["listen"],"action":"SCMP_ACT_ALLOW"},{"names":["connect"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}}]}`),
	}
	list := calls()
	for name, base := range bases {
		for _, filter := range []seccomp.Filter{{}, {Bind: true, AllowIOURing: true}} {
			for _, caps := range [][]string{nil, {"CAP_SYS_ADMIN", "CAP_SYS_NICE"}} {
				before, after := newMachine(t, base.body, caps...), newMachine(t, merge(t, base, filter), caps...)
				for _, c := range list {
					if is, was := after.on(c), before.on(c); !fits(was, is, filter) {
						t.Errorf("%s %+v %v: %v was %#x and is %#x", name, filter, caps, c, was, is)
					}
				}
			}
		}
	}
}

func fits(was, is uint32, filter seccomp.Filter) bool {
	enosys := retErrno | uint32(syscall.ENOSYS)
	return is == was || was == retAllow && is == retNotify || was == retAllow && is == enosys && !filter.AllowIOURing
}

// TestMergeNotifies: of what the filter alone notifies, with each base that
// allows it.
func TestMergeNotifies(t *testing.T) {
	get := must(t)
	for name, base := range map[string]Base{"built in": get(Builtin("1.45")), "unconfined": get(Unconfined())} {
		m := newMachine(t, merge(t, base, seccomp.Filter{}))
		for _, length := range samples() {
			want := uint32(retAllow)
			if length >= 16 && length != 110 {
				want = retNotify
			}
			if got := m.on(call{archX8664, unix.SYS_CONNECT, [6]uint64{3, 0, length}}); got != want {
				t.Errorf("%s: connect with length %d: %#x, want %#x", name, length, got, want)
			}
		}
		for _, tt := range []struct {
			nr   uint32
			args [6]uint64
			want uint32
		}{
			{unix.SYS_LISTEN, [6]uint64{3, 5}, retNotify},
			{unix.SYS_BIND, [6]uint64{3, 0, 16}, retAllow},
			{unix.SYS_SENDTO, [6]uint64{3, 0, 9, 0x4000}, retAllow},
			{unix.SYS_SENDTO, [6]uint64{3, 0, 9, msgFastOpen | 0x4000}, retNotify},
			{unix.SYS_SENDMSG, [6]uint64{3, 0, 0x4000}, retAllow},
			{unix.SYS_SENDMSG, [6]uint64{3, 0, msgFastOpen}, retNotify},
		} {
			if got := m.on(call{archX8664, tt.nr, tt.args}); got != tt.want {
				t.Errorf("%s: call %d %#x: %#x, want %#x", name, tt.nr, tt.args, got, tt.want)
			}
		}
	}
	uring := call{archX8664, unix.SYS_IO_URING_SETUP, [6]uint64{8}}
	unconfined := get(Unconfined())
	if got := newMachine(t, merge(t, unconfined, seccomp.Filter{})).on(uring); got != retErrno|uint32(syscall.ENOSYS) {
		t.Errorf("io_uring_setup: %#x, want ENOSYS", got)
	}
	if got := newMachine(t, merge(t, unconfined, seccomp.Filter{AllowIOURing: true})).on(uring); got != retAllow {
		t.Errorf("io_uring_setup, allowed: %#x, want it allowed", got)
	}
}

// TestMergeKeepsTheRest: the listener is set, and what else a profile says stays.
func TestMergeKeepsTheRest(t *testing.T) {
	base := must(t)(Parse([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":13,"flags":["SECCOMP_FILTER_FLAG_LOG"],
		"architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"names":["listen","ptrace"],"action":"SCMP_ACT_ALLOW","comment":"c",
		"includes":{"minKernel":"4.8","caps":["CAP_X"]},"excludes":{"arches":["s390x"]}}]}`)))
	var got, want any
	if err := json.Unmarshal(merge(t, base, seccomp.Filter{}), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":13,"flags":["SECCOMP_FILTER_FLAG_LOG"],
		"listenerPath":"/run/agent","listenerMetadata":"web-1","architectures":["SCMP_ARCH_X86_64"],"syscalls":[
		{"names":["ptrace"],"action":"SCMP_ACT_ALLOW","comment":"c","includes":{"minKernel":"4.8","caps":["CAP_X"]},"excludes":{"arches":["s390x"]}},
		{"names":["listen"],"action":"SCMP_ACT_NOTIFY","includes":{"minKernel":"4.8","caps":["CAP_X"]},"excludes":{"arches":["s390x"]}}]}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("merged profile (-want +got):\n%s", diff)
	}
}

func TestMergeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       error
	}{
		{"has a listener", `{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"}`, ErrNotifies},
		{"notifies", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_NOTIFY"}]}`, ErrNotifies},
		{"denies all", `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}`, ErrNothing},
	} {
		if _, err := Merge(must(t)(Parse([]byte(tt.body))), seccomp.Filter{}, "/run/agent", "web-1"); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	for _, body := range []string{`{"defaultAction":"SCMP_ACT_ALLOW","new":1}`, `{} {}`, `[`, `{"syscalls":[null]}`, ``} {
		if _, err := Parse([]byte(body)); err == nil {
			t.Errorf("%s was taken for a profile", body)
		}
	}
}

// TestBuiltin: an old engine does not get what only newer ones allow.
func TestBuiltin(t *testing.T) {
	for _, tt := range []struct {
		api, call string
		caps      bool // wants a capability
		want      bool
	}{
		{"1.42", "name_to_handle_at", false, false},
		{"1.43", "name_to_handle_at", true, true},
		{"1.44", "name_to_handle_at", false, true},
		{"1.44", "cachestat", false, false},
		{"1.45", "cachestat", false, true},
		{"1.45", "mseal", false, false},
		{"1.50", "lsm_list_modules", true, false},
		{"1.51", "mseal", false, true},
		{"2.0", "mseal", false, true},
		{"1.42", "connect", false, true},
	} {
		profile, err := decode(must(t)(Builtin(tt.api)).body)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(profile.Syscalls, func(e *profiles.Syscall) bool {
			return slices.Contains(e.Names, tt.call) && (e.Includes != nil && len(e.Includes.Caps) > 0) == tt.caps
		})
		if got != tt.want {
			t.Errorf("API %s, %s: allowed %v, want %v", tt.api, tt.call, got, tt.want)
		}
	}
	if _, err := Builtin("new"); err == nil {
		t.Error("took an API version that is none")
	}
}
