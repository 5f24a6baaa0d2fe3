package intercept

import (
	"maps"
	"slices"
	"time"

	"upall/intercept/registry"
	"upall/internal/event"
)

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
		maps.DeleteFunc(s.refused, func(_ ends, since time.Time) bool { return time.Since(since) >= againLimit })
	}
	gone = append(gone, i.goneParked()...)
	gone = append(gone, i.goneEarly()...)
	for _, id := range gone {
		i.step(registry.Gone{ID: id})
	}
	i.waning = slices.DeleteFunc(i.waning, func(r *record) bool {
		over := !r.has(performing)
		if over {
			i.records.drop(r)
		}
		return over
	})
}

// goneParked returns the parked holds whose sockets are not connecting any more:
// closed, or timed out by themselves.
func (i *Interceptor) goneParked() (gone []uint64) {
	alive := map[*space]map[ends]bool{}
	for _, s := range i.spaces {
		if connecting, ok := i.connecting(s); ok {
			alive[s] = connecting
		}
	}
	for s, connecting := range alive {
		maps.DeleteFunc(s.parked, func(at ends, h *hold) bool {
			return h.overtake != "" && !connecting[at] // its SYN has never come
		})
	}
	for id, h := range i.holds {
		if h.way != event.Parked || h.syn.src.Port() == 0 {
			continue
		}
		if connecting, known := alive[h.source.space]; known && !connecting[h.syn] {
			gone = append(gone, id)
		}
	}
	return gone
}

// connecting returns the connects that are under way where any is parked.
func (i *Interceptor) connecting(s *space) (alive map[ends]bool, ok bool) {
	if len(s.parked) == 0 && len(s.awaiting) == 0 {
		return nil, false
	}
	diag, err := s.dial()
	if err != nil {
		return nil, false
	}
	sockets, err := diag.Connecting()
	if err != nil {
		i.log.Warn("look for parked clients", "error", err)
		return nil, false
	}
	alive = make(map[ends]bool, len(sockets))
	for _, c := range sockets {
		alive[ends{c.Local, c.Remote}] = true
	}
	return alive, true
}

// forgetSockets closes the duplicates whose SYN is late, and forgets holds that
// have ended: their SYN will be let go as one that was never held. It returns
// the holds whose connects have failed in the kernel before any SYN.
func (s *space) forgetSockets(i *Interceptor) (gone []uint64) {
	for dst, as := range s.awaiting {
		rest := as[:0]
		for _, a := range as {
			switch isLate := time.Since(a.since) > socketPatience; {
			case isLate && a.h.sock == nil && a.h.restored && !a.h.src.IsValid():
				gone = append(gone, a.id)
			case isLate && a.h.sock != nil:
				if !a.h.sock.IsConnecting() {
					gone = append(gone, a.id)
				}
				a.h.src = a.h.from()
				a.h.syn = ends{a.h.src, dst}
				i.discardOf(a.h)
			}
			if a.h.overtake == "" {
				rest = append(rest, a)
			} else {
				i.discardOf(a.h)
			}
		}
		clear(as[len(rest):])
		if s.awaiting[dst] = rest; len(rest) == 0 {
			delete(s.awaiting, dst)
		}
	}
	return gone
}
