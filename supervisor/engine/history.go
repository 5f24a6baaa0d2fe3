package engine

import (
	"slices"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// history is what the engine has told of the containers of a project, also of
// those that are gone. It finds out what is new: an event can come twice, and the
// engine forgets all but its newest 256 events. It does nothing but decide.
type history struct {
	since time.Time        // what happened until then has been told
	facts map[string]*fact // by container ID
}

// fact is what is known of a container.
type fact struct {
	runs    bool
	at      time.Time // of the newest event, or of what was asked
	isGuess bool      // nobody has told, it was asked: the event may still come
	isAsked bool      // somebody has signalled the container since it began
	health  string    // healthy, unhealthy, or "" since it began
}

// change is something new.
type change struct {
	ref
	what events.Action // start, die, health_status: healthy or unhealthy
	at   time.Time
	code int // of an end; 0 where it is not known any more
}

func newHistory(since time.Time) *history {
	return &history{since: since, facts: map[string]*fact{}}
}

// event takes an event of a container. ok is false if there is nothing to tell.
func (h *history) event(c ref, m events.Message) (told change, ok bool) {
	at := time.Unix(0, m.TimeNano)
	f := h.facts[c.id]
	if f == nil {
		f = &fact{}
		h.facts[c.id] = f
	}
	if !at.After(f.at) {
		return change{}, false
	}
	f.at = at
	isNew := false
	switch m.Action {
	case events.ActionKill:
		f.isAsked = true
	case events.ActionStart:
		isNew = !f.isGuess || !f.runs
		f.begin()
	case events.ActionDie:
		isNew = !f.isGuess || f.runs
		f.end()
	case events.ActionHealthStatusHealthy:
		isNew, f.health = true, string(container.Healthy)
	case events.ActionHealthStatusUnhealthy:
		isNew, f.health = true, string(container.Unhealthy)
	}
	code, _ := strconv.Atoi(m.Actor.Attributes["exitCode"]) // the engine's own number
	return change{ref: c, what: m.Action, at: at, code: code}, isNew && at.After(h.since)
}

func (f *fact) begin() { *f = fact{runs: true, at: f.at} }
func (f *fact) end()   { f.runs, f.isGuess = false, false }

// compare takes what the engine answered about containers at a time, after all
// events before it that the engine remembers. It returns what no event has told,
// in order.
func (h *history) compare(at time.Time, all map[ref]Details) []change {
	var missed []change
	for c, d := range all {
		if f := h.facts[c.id]; f != nil && f.at.After(at) || d.Started.IsZero() {
			continue // newer events have come, or it has never run
		}
		missed = append(missed, h.compareOne(c, d)...)
	}
	slices.SortStableFunc(missed, func(a, b change) int { return a.at.Compare(b.at) })
	return missed
}

func (h *history) compareOne(c ref, d Details) (missed []change) {
	runs := d.State == string(container.StateRunning) || d.State == string(container.StatePaused)
	f := h.facts[c.id]
	if f == nil {
		f = h.until(d, runs)
		h.facts[c.id] = f
	}
	began := change{ref: c, what: events.ActionStart, at: d.Started}
	ended := change{ref: c, what: events.ActionDie, at: d.Finished, code: d.Code}
	switch {
	case f.runs && !runs:
		missed = append(missed, ended)
	case f.runs && d.Started.After(f.at): // it is another run
		missed = append(missed, ended, began)
	case !f.runs && runs:
		missed = append(missed, began)
	case !f.runs && d.Finished.After(f.at): // a whole run
		missed = append(missed, began, ended)
	}
	if len(missed) > 0 {
		*f = fact{runs: runs, at: missed[len(missed)-1].at, isGuess: true, isAsked: f.isAsked}
	}
	if runs && d.Health != f.health && d.Health != string(container.Starting) && d.Health != "" {
		f.health = d.Health
		missed = append(missed, change{ref: c, what: healthActions[d.Health], at: d.Started})
	}
	return missed
}

// until is what has been told of a container of which the engine remembers no
// event.
func (h *history) until(d Details, runs bool) *fact {
	f := &fact{at: h.since}
	if runs {
		f.runs = !d.Started.After(h.since) || d.Finished.After(h.since)
	} else {
		f.runs = !d.Started.After(h.since) && d.Finished.After(h.since)
	}
	return f
}

var healthActions = map[string]events.Action{
	string(container.Healthy):   events.ActionHealthStatusHealthy,
	string(container.Unhealthy): events.ActionHealthStatusUnhealthy,
}
