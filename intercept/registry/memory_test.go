package registry

import "testing"

// Clients that come and go leave nothing behind, though one of them stays.
func TestGoneLeavesNothing(t *testing.T) {
	t.Parallel()
	r, target := crowd(false)
	r.Step(epoch, Connect{ID: 1, Client: "i1", Target: target})
	for id := uint64(2); id < 1000; id++ {
		r.Step(epoch, Connect{ID: id, Client: "i2", Target: target})
		r.Step(epoch, Gone{id})
	}
	e := r.endpoints[target]
	if most := 20; len(e.waiters) > most || len(r.deadlines) != 1 || len(r.holds) != 1 || len(r.instances["i2"].edges) > 0 {
		t.Errorf("one is held, but there are %d waiters, %d deadlines, %d holds", len(e.waiters), len(r.deadlines), len(r.holds))
	}
	r.Step(epoch, Gone{1})
	if len(r.endpoints) > 0 {
		t.Errorf("%d endpoints that nobody needs are left", len(r.endpoints))
	}
}
