package registry

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"
)

const (
	manyHolds     = 10_000
	manyInstances = 200
	room          = 64 // of an accept queue
)

// crowd is a Registry of many instances; all but the first, the target, have
// been started. They wait for a job where gated.
func crowd(gated bool) (r *Registry, target netip.AddrPort) {
	r = New()
	r.Add(Instance{Name: "job", Service: "job", HoldTimeout: time.Minute})
	for n := range manyInstances {
		i := Instance{
			Name: fmt.Sprint("i", n), Service: fmt.Sprint("s", n), Ports: []uint16{80}, HoldTimeout: time.Minute,
			Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})},
		}
		if gated {
			i.Requires = []Requirement{{"job", ServiceCompleted, true}}
		}
		r.Add(i)
		if n > 0 {
			r.Step(epoch, Started{i.Name})
		}
	}
	return r, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 0}), 80)
}

// holdMany has the instances connect to the target in turn.
func holdMany(tb testing.TB, r *Registry, target netip.AddrPort) {
	for n := range manyHolds {
		now := epoch.Add(time.Duration(n) * time.Microsecond)
		r.Step(now, Connect{ID: uint64(n + 1), Client: fmt.Sprint("i", 1+n%(manyInstances-1)), Target: target})
		r.Next()
	}
	if len(r.holds) != manyHolds {
		tb.Fatalf("%d are held, want %d", len(r.holds), manyHolds)
	}
}

func listenAndDrain(r *Registry, target netip.AddrPort) {
	now := epoch.Add(time.Second)
	r.Step(now, Started{"i0"})
	r.Step(now, Listened{Instance: "i0", At: target})
	for len(r.holds) > 0 {
		r.Step(now, Take{target, room})
		r.Next()
	}
}

// BenchmarkRegistry10kHolds takes connects in and ends them in each way.
func BenchmarkRegistry10kHolds(b *testing.B) {
	for _, bench := range []struct {
		name  string
		gated bool
		end   func(*Registry, netip.AddrPort)
	}{
		{"release", false, listenAndDrain},
		{"gate", true, func(r *Registry, target netip.AddrPort) {
			now := epoch.Add(time.Second)
			r.Step(now, Started{"i0"})
			r.Step(now, Listened{Instance: "i0", At: target})
			r.Step(now, Take{target, math.MaxInt})
			r.Step(now, Ended{"job", 0, true})
			listenAndDrain(r, target)
		}},
		{"exit", false, func(r *Registry, _ netip.AddrPort) { r.Step(epoch.Add(time.Second), Ended{"i0", 1, true}) }},
		{"expire", false, func(r *Registry, _ netip.AddrPort) { r.Step(epoch.Add(time.Hour), Tick{}) }},
		{"expire by ticks", false, func(r *Registry, _ netip.AddrPort) {
			for at, ok := r.Next(); ok; at, ok = r.Next() {
				r.Step(at, Tick{})
			}
		}},
		{"cancel", false, func(r *Registry, _ netip.AddrPort) {
			for n := range manyHolds {
				r.Step(epoch.Add(time.Second), Gone{uint64(n + 1)})
			}
		}},
		{"cycle", false, func(r *Registry, _ netip.AddrPort) {
			r.Step(epoch.Add(time.Second), Started{"i0"})
			r.Step(epoch.Add(time.Second), Connect{ID: math.MaxUint64, Client: "i0", Target: netip.MustParseAddrPort("10.0.0.9:80")})
			for at, ok := r.Next(); ok; at, ok = r.Next() {
				r.Step(at, Tick{})
			}
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				r, target := crowd(bench.gated)
				holdMany(b, r, target)
				bench.end(r, target)
				if len(r.holds) > 0 {
					b.Fatalf("%d are still held", len(r.holds))
				}
			}
		})
	}
}

// BenchmarkRegistryMesh has each of 50 instances wait for all the others until
// no cycle is left.
func BenchmarkRegistryMesh(b *testing.B) {
	const size = 50
	for b.Loop() {
		r, _ := crowd(false)
		for n := range size * size {
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n % size)}), 80)
			r.Step(epoch.Add(time.Duration(n)), Connect{ID: uint64(n + 1), Client: fmt.Sprint("i", n/size), Target: at})
		}
		for at, ok := r.Next(); ok; at, ok = r.Next() {
			r.Step(at, Tick{})
		}
	}
}

// BenchmarkRegistryPass is the cost of a connect to what serves.
func BenchmarkRegistryPass(b *testing.B) {
	r, target := crowd(false)
	r.Step(epoch, Started{"i0"})
	r.Step(epoch, Listened{Instance: "i0", At: target})
	b.ReportAllocs()
	for id := uint64(1); b.Loop(); id++ {
		r.Step(epoch, Connect{ID: id, Client: "i7", Target: target})
	}
}
