package seccomp

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzParseState: what a stranger writes to the socket gives an error, or a state
// that names each descriptor.
func FuzzParseState(f *testing.F) {
	ours, err := MarshalState("upall:token")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ours, 1)
	f.Add([]byte(`{"ociVersion":"1.0.2","fds":["seccompFd","x"],"pid":7,"metadata":"m","state":{"id":"c"}}`), 2)
	f.Add([]byte(`{"fds":null}`), 0)
	f.Add([]byte(`[`), 0)
	f.Fuzz(func(t *testing.T, data []byte, fds int) {
		state, err := parseState(data, fds)
		if err != nil {
			return
		}
		if len(state.FDs) != fds {
			t.Errorf("%d names for %d descriptors", len(state.FDs), fds)
		}
		first, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseState(first, fds)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s, and again %s (%v)", first, second, err)
		}
	})
}
