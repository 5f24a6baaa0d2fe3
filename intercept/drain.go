package intercept

import (
	"math"
	"net/netip"

	"upall/intercept/registry"
)

// drainAll releases waiters of every endpoint that serves, as many as its accept
// queue has room for.
func (i *Interceptor) drainAll() {
	for of := range i.late {
		i.acceptLate(of)
	}
	for at := range i.drains {
		room := i.room(at)
		before := len(i.holds)
		i.step(registry.Take{At: at, Max: room})
		if room > 0 && len(i.holds) == before {
			delete(i.drains, at)
		}
	}
}

// room tells how many waiters may be released at once to a listener whose
// accept queue has this length and limit. Half of the queue stays free, for a
// SYN that finds it full is retried after a second or more.
func room(length, limit int) int {
	if half := max(1, limit/2); half > length {
		return half - length
	}
	return 0
}

// noRoomKnown is for a listener whose queue cannot be looked at.
const noRoomKnown = math.MaxInt

// room tells how many may be let to the endpoint now, which is looked at in the
// network namespace of who listens there.
func (i *Interceptor) room(at netip.AddrPort) int {
	s := i.spaceAt(at.Addr())
	if s == nil {
		return noRoomKnown
	}
	length, limit, err := s.acceptQueue(i.real(at))
	if err != nil {
		return noRoomKnown
	}
	return room(length, limit)
}
