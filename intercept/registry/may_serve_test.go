package registry

import (
	"net/netip"
	"testing"
	"time"
)

func TestMayServe(t *testing.T) {
	t.Parallel()
	addr := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, last}) }
	r := New()
	for n, i := range []Instance{{Name: "api"}, {Name: "db"}, {Name: "gone"}, {Name: "self", HoldSelf: true}} {
		i.Service, i.Addrs, i.HoldTimeout = i.Name, []netip.Addr{addr(byte(n))}, time.Minute
		r.Add(i)
		r.Step(epoch, Started{i.Name})
	}
	r.Step(epoch, Ended{"gone", 1, true})
	for _, test := range []struct {
		client string
		target byte
		want   bool
		why    string
	}{
		{"api", 1, true, "its window is open"},
		{"api", 2, false, "it has exited"},
		{"api", 0, false, "it is the client itself"},
		{"self", 3, true, "the client waits for itself too"},
		{"api", 9, false, "it is not of the project"},
		{"nobody", 1, false, "the client is not"},
	} {
		if got := r.MayServe(test.client, netip.AddrPortFrom(addr(test.target), 80)); got != test.want {
			t.Errorf("%s of 10.0.0.%d: %v, but %s", test.client, test.target, got, test.why)
		}
	}
}
