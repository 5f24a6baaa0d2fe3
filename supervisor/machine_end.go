package supervisor

import (
	"time"

	"upall/compose"
	"upall/internal/event"
)

func (m *machine) end(now time.Time, in ended) (out []any) {
	i := m.find(in.instance)
	switch {
	case i == nil:
		return nil
	case i.state == event.Restarting && in.then == over:
		return m.giveUp(now, i) // it is known now that nobody starts it
	case !i.isRunning():
		return nil
	}
	i.code, i.killAt = in.code, time.Time{}
	if !m.stopping && m.awaitReturn(now, i, in.then) {
		i.restarts++
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
		i.overAt = now.Add(returnPatience)
		return true
	}
	if !i.restartsAfter(i.code) {
		return false
	}
	if now.Sub(i.started) >= backoffReset {
		i.backoff = 0
	}
	i.backoff = min(max(backoffFirst, 2*i.backoff), backoffMost)
	i.startAt = now.Add(i.backoff)
	return true
}

// began notes an instance that somebody else has started.
func (m *machine) began(now time.Time, in began) (out []any) {
	i := m.find(in.instance)
	if i == nil || i.isRunning() {
		return nil
	}
	i.started, i.startAt, i.overAt, i.code = now, time.Time{}, time.Time{}, 0
	change := m.change(i, event.Starting, "")
	change.begun = true
	out = append(out, change)
	if m.stopping {
		out = append(out, stopProgram{i})
	}
	return out
}

// giveUpDue ends the instances that nobody has started again.
func (m *machine) giveUpDue(now time.Time) (out []any) {
	for _, i := range m.instances {
		if i.state == event.Restarting && !i.overAt.IsZero() && !i.overAt.After(now) {
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
		return code != 0 && (r.Max == 0 || i.restarts < r.Max)
	default:
		return false
	}
}

// checkEnding keeps the code that the project will have, and stops the project
// where the exit of i ends it.
func (m *machine) checkEnding(now time.Time, i *instance) []any {
	e := m.ending
	isFrom := e.From != "" && e.From == i.service.Name
	ends := e.OnExit || (e.OnFailure && i.code != 0) || isFrom
	// What a stop makes of the others is not their failure.
	isOwn := e.From == "" && !m.stopping && (ends || i.code != 0)
	if !m.hasCode && (isFrom || isOwn) {
		m.code, m.hasCode = i.code, true
	}
	if !ends {
		return nil
	}
	return m.stop(now)
}

func (m *machine) stop(now time.Time) (out []any) {
	if m.stopping {
		return nil
	}
	m.stopping = true
	for _, i := range m.instances {
		switch {
		case i.isRunning():
			grace := i.service.StopGrace
			if m.grace != nil {
				grace = *m.grace
			}
			if i.service.Runtime != compose.Engine { // the engine kills by itself
				i.killAt = now.Add(grace)
			}
			out = append(out, stopProgram{i})
		case !i.isOver():
			out = append(out, m.giveUp(now, i)...)
		}
	}
	return out
}

func (m *machine) kill(now time.Time) (out []any) {
	m.stopping = true
	for _, i := range m.instances {
		switch {
		case i.isRunning():
			i.killAt = time.Time{}
			out = append(out, killProgram{i})
		case !i.isOver():
			out = append(out, m.giveUp(now, i)...)
		}
	}
	return out
}

// giveUp ends an instance that does not run. What its last run gave counts.
func (m *machine) giveUp(now time.Time, i *instance) []any {
	hasRun := i.state == event.Restarting
	i.startAt, i.overAt = time.Time{}, time.Time{}
	out := []any{m.change(i, event.Exited, "")}
	if hasRun {
		out = append(out, m.checkEnding(now, i)...)
	}
	return out
}

func (m *machine) killDue(now time.Time) (out []any) {
	for _, i := range m.instances {
		if i.isRunning() && !i.killAt.IsZero() && !i.killAt.After(now) {
			i.killAt = time.Time{}
			out = append(out, killProgram{i})
		}
	}
	return out
}
