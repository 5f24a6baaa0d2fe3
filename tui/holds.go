package tui

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"upall/internal/event"
	"upall/internal/words"
)

// edge is what holds are folded by.
type edge struct {
	client string // the instance
	target string // the service
	port   uint16
}

// shortest is the least time that is worth a number.
const shortest = 50 * time.Microsecond

func edgeOf(e event.Event) edge { return edge{e.Instance, e.Target, e.Port} }

func (k edge) address() string { return fmt.Sprintf("%s:%d", k.target, k.port) }

func (k edge) compare(other edge) int {
	return cmp.Or(cmp.Compare(k.client, other.client), cmp.Compare(k.target, other.target), cmp.Compare(k.port, other.port))
}

// foldedHolds are consecutive holds of one edge. A batch begins with a printed
// line and gathers until none is open:
//
//	begin (printed) ... last end: released, expired -> one line, forget the edge
//	                              refused           -> one line, then quiet
//	                              cancelled         -> quiet
//
// While quiet, a client that tries again and again prints nothing; its counts
// come with the next line that says something new, or when it exits.
type foldedHolds struct {
	open         map[uint64]bool
	isQuiet      bool
	wasRefused   bool   // and that was printed
	refusalCause string // valid iff wasRefused

	count   int
	longest time.Duration
	ends    map[event.End]int
	cause   string      // of the newest end that has one
	last    event.Event // the newest end
}

func newFoldedHolds() *foldedHolds {
	return &foldedHolds{open: map[uint64]bool{}, ends: map[event.End]int{}}
}

func (p *Printer) foldedHolds(k edge) *foldedHolds {
	h, ok := p.holds[k]
	if !ok {
		h = newFoldedHolds()
		p.holds[k] = h
	}
	return h
}

func (p *Printer) beginHold(e event.Event) {
	k := edgeOf(e)
	h := p.foldedHolds(k)
	isFirst := len(h.open) == 0 && h.count == 0 && !h.isQuiet
	h.open[e.Hold], p.edges[e.Hold] = true, k
	if !isFirst {
		return
	}
	how := ""
	if e.Way != "" {
		how = fmt.Sprintf(" (%s)", e.Way)
	}
	p.printOwn(e, withCause(fmt.Sprintf("%s waits for %s%s", k.client, k.address(), how), e.Cause))
}

func (p *Printer) endHold(e event.Event) {
	k, began := p.edges[e.Hold]
	if !began {
		k = edgeOf(e)
	}
	delete(p.edges, e.Hold)
	h := p.foldedHolds(k)
	delete(h.open, e.Hold)
	h.add(e)
	if len(h.open) > 0 {
		return
	}
	switch e.End {
	case event.Canceled:
		h.isQuiet = true
		return
	case event.Refused:
		isRepeated := h.wasRefused && h.refusalCause == e.Cause && h.ends[event.Released]+h.ends[event.Expired] == 0
		h.isQuiet, h.wasRefused, h.refusalCause = true, true, e.Cause
		if isRepeated {
			return
		}
		p.printOwn(e, h.sentence())
		h.clear()
	default:
		p.printOwn(e, h.sentence())
		delete(p.holds, k)
	}
}

func (h *foldedHolds) add(e event.Event) {
	h.count++
	h.longest = max(h.longest, e.Elapsed)
	h.ends[e.End]++
	h.cause = cmp.Or(e.Cause, h.cause)
	h.last = e
}

// clear forgets the counts that were printed.
func (h *foldedHolds) clear() {
	h.count, h.longest, h.cause = 0, 0, ""
	h.ends = map[event.End]int{}
}

// flushHolds prints the counts that are still quiet, of the edges that match.
func (p *Printer) flushHolds(match func(edge) bool) {
	for _, k := range slices.SortedFunc(maps.Keys(p.holds), edge.compare) {
		h := p.holds[k]
		if !match(k) {
			continue
		}
		if h.count > 0 {
			p.printOwn(h.last, h.sentence())
			h.clear()
		}
		if len(h.open) == 0 {
			delete(p.holds, k)
		}
	}
}

// sentence says how the holds of a batch ended, with the newest target: who serves
// an address that several share is known at the end.
func (h *foldedHolds) sentence() string {
	k := edgeOf(h.last)
	if h.count == 1 {
		return h.single(k)
	}
	endings := []struct {
		end  event.End
		word string
	}{
		{event.Released, "connected"},
		{event.Refused, "refused"},
		{event.Expired, "expired"},
		{event.Canceled, "gave up"},
	}
	var parts []string
	for _, ending := range endings {
		switch n := h.ends[ending.end]; n {
		case 0:
		case h.count:
			parts = append(parts, "all "+ending.word)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, ending.word))
		}
	}
	text := fmt.Sprintf("%s made %d connects to %s", k.client, h.count, k.address())
	if h.longest >= shortest {
		text += ", held up to " + words.Seconds(h.longest)
	}
	text = withCause(text, strings.Join(parts, ", "))
	if h.ends[event.Refused]+h.ends[event.Expired] == 0 || h.cause == "" {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, h.cause)
}

func (h *foldedHolds) single(k edge) string {
	after := "at once"
	if h.longest >= shortest {
		after = "after " + words.Seconds(h.longest)
	}
	switch h.last.End {
	case event.Released:
		return fmt.Sprintf("%s connected to %s %s", k.client, k.address(), after)
	case event.Refused:
		return withCause(fmt.Sprintf("%s was refused by %s %s", k.client, k.address(), after), h.cause)
	case event.Expired:
		// Not "refused": where health alone was missing, the client is let through.
		return withCause(fmt.Sprintf("%s waited for %s until the hold expired %s", k.client, k.address(), after), h.cause)
	case event.Canceled:
		return fmt.Sprintf("%s gave up on %s %s", k.client, k.address(), after)
	}
	return withCause(fmt.Sprintf("hold of %s on %s ended %s", k.client, k.address(), after), h.cause)
}
