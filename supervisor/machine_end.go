package supervisor

import (
	"time"

	"upall/internal/event"
)

func (m *machine) end(now time.Time, in ended) (out []any) {
	i := m.find(in.instance)
	switch {
	case i == nil, !in.at.IsZero() && in.at.Before(i.Started): // of the run before, told late
		return nil
	case i.State == event.Restarting && in.then == over && !i.Again:
		return m.giveUp(now, i) // it is known now that nobody starts it
	case !i.isRunning():
		return nil
	}
	wasAsked := i.Stop == stopSent
	i.Code, i.KillAt, i.Stop, i.Grace = in.code, time.Time{}, notStopping, nil
	if !m.stopping && (i.Again || !wasAsked && m.awaitReturn(now, i, in.then)) {
		if !i.Again {
			i.Restarts++
		}
		return []any{m.change(i, event.Restarting, "")}
	}
	out = append(out, m.change(i, event.Exited, ""))
	return append(out, m.checkEnding(now, i)...)
}

// awaitReturn decides whether an instance that has ended is going to run again.
func (m *machine) awaitReturn(now time.Time, i *instance, t then) bool {
	switch t {
	case over:
		return false
	case restarts:
		return true
	case mayReturn:
		i.OverAt = now.Add(returnPatience)
		return true
	}
	if !i.Wanted || !i.restartsAfter(i.Code) {
		return false
	}
	if now.Sub(i.Started) >= backoffReset {
		i.Backoff = 0
	}
	i.Backoff = min(max(backoffFirst, 2*i.Backoff), backoffMost)
	i.StartAt = now.Add(i.Backoff)
	return true
}

// began notes an instance that somebody else has started.
func (m *machine) began(now time.Time, in began) (out []any) {
	i := m.find(in.instance)
	if i == nil || i.isRunning() {
		return nil
	}
	if !in.at.IsZero() {
		now = in.at
	}
	wasAsked := i.Stop == stopSent
	i.runs(now)
	i.Wanted, i.Again = !m.stopping && !wasAsked, false
	change := m.change(i, event.Starting, "")
	change.begun = true
	out = append(out, change)
	switch {
	case wasAsked: // the stop has met its start
		i.Stop = stopSent
	case m.stopping:
		i.Stop = stopDue
	}
	return out
}

// giveUpDue ends the instances that nobody has started again.
func (m *machine) giveUpDue(now time.Time) (out []any) {
	for _, i := range m.instances {
		if i.State == event.Restarting && !i.OverAt.IsZero() && !i.OverAt.After(now) {
			out = append(out, m.giveUp(now, i)...)
		}
	}
	return out
}

// restartsAfter applies the restart policy of the Compose specification.
func (i *instance) restartsAfter(code int) bool {
	switch r := i.service.Restart; r.Policy {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return code != 0 && (r.Max == 0 || i.Restarts < r.Max)
	default:
		return false
	}
}

// checkEnding keeps the code that the project will have, and stops the project
// where the exit of i ends it.
func (m *machine) checkEnding(now time.Time, i *instance) []any {
	e := m.ending
	isFrom := e.From != "" && e.From == i.service.Name
	ends := e.OnExit || (e.OnFailure && i.Code != 0) || isFrom
	// What a stop makes of others is not their failure.
	isOwn := e.From == "" && !m.stopping && i.Wanted && (ends || i.Code != 0)
	if !m.hasCode && (isFrom || isOwn) {
		m.code, m.hasCode = i.Code, true
	}
	if !ends {
		return nil
	}
	return m.stop(now, stop{})
}

// giveUp ends an instance that does not run. What its last run gave counts.
func (m *machine) giveUp(now time.Time, i *instance) []any {
	hasRun := i.State == event.Restarting
	i.StartAt, i.OverAt, i.Again, i.Stop = time.Time{}, time.Time{}, false, notStopping
	if !hasRun {
		i.Wanted = false
		return nil
	}
	out := []any{m.change(i, event.Exited, "")}
	return append(out, m.checkEnding(now, i)...)
}
