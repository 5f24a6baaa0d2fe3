package registry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzRegistry gives random inputs. The checker holds the Registry to its
// promises at each step; in the end all holds must run out by themselves, and
// the same inputs must give the same outputs.
func FuzzRegistry(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 0, 4, 8, 0, 4, 9, 1, 2, 0, 1, 6, 0, 1, 5, 0, 0, 1, 0, 0})
	f.Add([]byte{0, 2, 0, 0, 3, 0, 0, 4, 0, 4, 0x23, 0, 4, 0x32, 0, 4, 0x43, 3, 7, 0, 5, 7, 0, 5})
	f.Add([]byte{0, 1, 0, 0, 4, 0, 2, 0, 1, 4, 0x40, 0, 3, 0, 1, 1, 0x11, 0, 6, 0, 0, 4, 0x41, 4})
	f.Add([]byte{0, 0, 0, 0, 3, 0, 4, 0, 0, 0x31, 1, 4, 3, 0, 0, 11, 0x20, 0, 5, 0, 0, 11, 0x10, 0, 0x41, 0, 7})
	f.Add([]byte{0, 0, 0, 12, 0x50, 0, 0x31, 0, 0, 3, 0, 0, 13, 0x10, 0, 11, 0x10, 0, 12, 0xa3, 0, 14, 0, 5})
	f.Add([]byte{0, 6, 0, 0, 7, 0, 3, 0x46, 0, 0x6d, 0x46, 0, 0x5e, 0x67, 4, 0, 0, 7, 0x6d, 0x56, 6})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 900 {
			return // nothing new comes of more
		}
		first, again := play(t, data), play(t, data)
		if !slices.Equal(first, again) {
			t.Errorf("the same inputs gave different outputs:\n%q\n%q", first, again)
		}
	})
}

// fuzzed are the instances that the fuzzer knows: with and without declared
// ports, several of a service, jobs and healthchecks, and who waits for them.
func fuzzed() []Instance {
	requires := func(jobs, healthy string) []Requirement {
		return append(requirements(ServiceCompleted, strings.Fields(jobs)), requirements(ServiceHealthy, strings.Fields(healthy))...)
	}
	is := []Instance{
		{Name: "db", Service: "db", Ports: []uint16{1, 2}, HoldTimeout: 10 * time.Second, HasHealth: true},
		{Name: "job-1", Service: "job", HoldTimeout: 7 * time.Second},
		{Name: "job-2", Service: "job", HoldTimeout: 7 * time.Second, Ports: []uint16{1}},
		{Name: "api", Service: "api", HoldTimeout: 20 * time.Second, Requires: requires("job", "db")},
		{Name: "web", Service: "web", HoldTimeout: 5 * time.Second, Requires: requires("job? api", "db? loop"), HoldSelf: true},
		{Name: "free", Service: "free", HoldTimeout: 10 * time.Second, NoHold: true},
		{Name: "brief", Service: "brief", Ports: []uint16{2}, HasHealth: true},
		{Name: "loop", Service: "loop", Ports: []uint16{3}, HoldTimeout: 8 * time.Second, Requires: requires("", "brief"), HasHealth: true},
	}
	for n := range is {
		is[n].Addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), netip.AddrFrom4([4]byte{10, 0, 1, byte(n)})}
	}
	// Some share a network namespace, and two another, one of which declares a port.
	lo, pod := netip.MustParseAddr("::1%pod"), netip.MustParseAddr("::1%two")
	for _, n := range []int{0, 3, 4} {
		is[n].Addrs = []netip.Addr{netip.MustParseAddr("10.0.2.1"), lo}
	}
	for _, n := range []int{6, 7} {
		is[n].Addrs = append(is[n].Addrs, pod)
	}
	return is
}

// play gives the inputs that data stands for, three bytes each, and returns the
// outputs as text.
func play(t *testing.T, data []byte) (lines []string) {
	r := New()
	c := newChecker(t, r)
	is := fuzzed()
	for _, i := range is {
		c.add(i)
	}
	now, lastID := epoch, uint64(0)
	step := func(in Input) {
		for _, o := range c.step(now, in) {
			lines = append(lines, fmt.Sprintf("%v %s", now.Sub(epoch), lineOf(o)))
		}
	}
	for ; len(data) >= 3; data = data[3:] {
		op, arg, pause := data[0], data[1], data[2]
		if pause%8 == 7 {
			now = timeOfNext(r, now)
			step(Tick{})
		} else {
			now = now.Add([]time.Duration{0, 0, 1, time.Millisecond, time.Second, 3 * time.Second, 11 * time.Second}[pause%8])
		}
		switch op % fuzzedOps {
		case 4, 14:
			lastID++
		case 12:
			c.add(otherwise(is[int(arg)%len(is)], arg>>4))
		case 13:
			r.SetHasHealth(is[int(arg)%len(is)].Name, arg&0x10 != 0)
		}
		in := fuzzedInput(is, op, arg, lastID)
		if c, isConnect := in.(Connect); isConnect && op%fuzzedOps == 14 {
			c.Began = now.Add(-time.Duration(pause) * time.Second / 8)
			in = c
		}
		step(in)
	}
	for range 10_000 {
		if _, ok := r.Next(); !ok {
			break
		}
		now = timeOfNext(r, now)
		step(Tick{})
	}
	if _, ok := r.Next(); ok || len(r.deadlines) > 0 {
		t.Errorf("%d holds never end; does Next want a tick: %v", len(r.deadlines), ok)
	}
	for _, i := range is { // those without a deadline wait for jobs and health
		step(Ended{i.Name, 0, true})
	}
	if len(c.holds) > 0 {
		t.Errorf("%d holds outlive those that they wait for", len(c.holds))
	}
	if len(r.endpoints) > 0 {
		t.Errorf("%d endpoints are left of ended instances", len(r.endpoints))
	}
	for _, i := range is {
		step(Removed{i.Name})
	}
	if len(r.byAddr) > 0 || len(r.order) > 0 {
		t.Errorf("%d addresses and %d instances are left", len(r.byAddr), len(r.order))
	}
	return lines
}

func timeOfNext(r *Registry, now time.Time) time.Time {
	if next, ok := r.Next(); ok {
		return next
	}
	return now
}

// otherwise describes an instance as high says.
func otherwise(i Instance, high byte) Instance {
	if high&1 != 0 {
		i.HasHealth = !i.HasHealth
	}
	if high&2 != 0 {
		i.HoldTimeout, i.Ports = 3*time.Second, append([]uint16{3}, i.Ports...)
	}
	if high&4 != 0 {
		i.Requires = nil
	}
	if high&8 != 0 {
		i.Addrs = append([]netip.Addr{netip.MustParseAddr("10.0.3.1")}, i.Addrs[1:]...)
	}
	return i
}

// fuzzedOps is how many kinds of inputs there are.
const fuzzedOps = 15

// fuzzedInput makes an input of two bytes: the low half of arg is an instance,
// the high half what depends on op.
func fuzzedInput(is []Instance, op, arg byte, lastID uint64) Input {
	i, high := is[int(arg)%len(is)], int(arg>>4)
	at := netip.AddrPortFrom(i.Addrs[high%len(i.Addrs)], uint16(high/2%3+1))
	switch op % fuzzedOps {
	case 0:
		return Started{i.Name}
	case 1:
		return Ended{i.Name, high & 1, high&2 != 0}
	case 2:
		return Listened{Instance: i.Name, At: netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port()), Probe: high&8 != 0}
	case 3:
		return Listened{Instance: i.Name, At: at, Probe: high&8 != 0}
	case 4, 14:
		return Connect{ID: lastID, Client: is[int(op/fuzzedOps)%len(is)].Name, Target: at}
	case 5:
		return Take{at, int(op / fuzzedOps)}
	case 10:
		return Unlistened{at}
	case 6:
		return Served{at}
	case 7:
		return Gone{lastID - min(lastID, uint64(arg))}
	case 9:
		return Removed{i.Name}
	case 11:
		return Health{i.Name, HealthState(high % 3)}
	default:
		return Tick{}
	}
}
