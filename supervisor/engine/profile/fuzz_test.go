package profile

import (
	"encoding/json"
	"slices"
	"testing"

	"upall/intercept/seccomp"
)

// FuzzMerge: no profile gets weaker, nor one that runc cannot load.
func FuzzMerge(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{1, 0, 0, 0, 0, 1, 1, 2, 3})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 2, 1})
	f.Add([]byte{2, 2, 0, 0, 1, 3, 1, 0, 0})
	list := interesting()
	f.Fuzz(func(t *testing.T, choices []byte) {
		body, err := json.Marshal(invent(choices))
		if err != nil {
			t.Fatal(err)
		}
		base, err := Parse(body)
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		merged, err := Merge(base, seccomp.Filter{}, "/run/agent", "web-1")
		if err != nil {
			return
		}
		for _, caps := range [][]string{nil, {"CAP_SYS_ADMIN"}} {
			if _, err := compile(body, caps); err != nil {
				continue // it never ran
			}
			before, after := newMachine(t, body, caps...), newMachine(t, merged, caps...)
			for _, c := range list {
				if is, was := after.on(c), before.on(c); !fits(was, is, seccomp.Filter{}) {
					t.Fatalf("%v, %v was %#x and is %#x: %s became %s", caps, c, was, is, body, merged)
				}
			}
		}
	})
}

// interesting are the filter's calls, and one that is not.
func interesting() []call {
	return slices.DeleteFunc(calls(), func(c call) bool {
		return !slices.Contains([]uint32{0, 42, 44, 46, 50, 425}, c.nr)
	})
}

// invent makes a profile of few words, entry by entry, as the choices are.
func invent(choices []byte) map[string]any {
	next := func(words ...any) any {
		if len(choices) == 0 {
			return words[0]
		}
		word := words[int(choices[0])%len(words)]
		choices = choices[1:]
		return word
	}
	action := func() any { return next("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL") }
	call := func() any { return next("connect", "listen", "sendto", "io_uring_setup", "read") }
	profile := map[string]any{"defaultAction": action()}
	var entries []any
	for len(choices) > 0 && len(entries) < 8 {
		e := map[string]any{"action": action(), "names": []any{call(), call()}}
		if argument := next(nil, 1, 2); argument != nil {
			e["args"] = []any{map[string]any{"index": argument, "value": next(16, 110, 5), "op": next("SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_LT", "SCMP_CMP_NE")}}
		}
		if when := next(nil, "includes", "excludes"); when != nil {
			e[when.(string)] = map[string]any{"caps": []string{"CAP_SYS_ADMIN"}}
		}
		entries = append(entries, e)
	}
	profile["syscalls"] = entries
	return profile
}
