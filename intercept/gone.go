package intercept

import "upall/intercept/registry"

// dropHoldsOf ends the holds of an instance whose processes have ended.
func (i *Interceptor) dropHoldsOf(n *instance) {
	for id, h := range i.holds {
		if h.source == nil || h.source.instance != n {
			continue
		}
		if _, runs := i.sources[h.source]; !runs {
			i.step(registry.Gone{ID: id})
		}
	}
}

// maxKeptChecks bounds how many kept calls are looked at in a round: the kernel
// searches a list for each.
const maxKeptChecks = 1000

// findGone ends the holds whose clients went away: the kernel tells nobody.
func (i *Interceptor) findGone() {
	var gone []uint64
	checks := maxKeptChecks
	for _, id := range i.kept { // in random order
		if h := i.holds[id]; !h.source.fd.IsValid(h.call.ID) {
			gone = append(gone, id)
		}
		if checks--; checks == 0 {
			break
		}
	}
	for _, s := range i.spaces {
		gone = append(gone, s.forgetSockets(i)...)
	}
	gone = append(gone, i.goneParked()...)
	gone = append(gone, i.goneEarly()...)
	for _, id := range gone {
		i.step(registry.Gone{ID: id})
	}
}
