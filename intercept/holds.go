package intercept

import (
	"cmp"
	"slices"

	"upall/internal/event"
)

// Present returns what was told of the present, in the same events: who listens and
// serves, and the holds, in the order of their IDs. After Resume what an earlier
// process has told, or was to tell, is among it.
func (i *Interceptor) Present() (events []event.Event) {
	var holds []event.Event
	i.do(func() {
		for _, n := range i.sorted() {
			for _, l := range n.listens {
				events = append(events, event.Event{Type: event.Listening, Service: n.Service, Instance: n.Name, Port: l.At.Port()})
			}
			if life := i.registry.Life(n.Name); life.Ready {
				events = append(events, event.Event{Type: event.Serving, Service: n.Service, Instance: n.Name})
			}
		}
		for id, h := range i.holds {
			if h.way == "" || h.untold {
				continue
			}
			e := i.holdEvent(event.HoldBegan, id, h, h.cause)
			e.Time = h.began
			holds = append(holds, e)
		}
	})
	slices.SortFunc(holds, func(a, b event.Event) int { return cmp.Compare(a.Hold, b.Hold) })
	return append(events, holds...)
}
