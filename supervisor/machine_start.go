package supervisor

import (
	"fmt"
	"time"

	"upall/compose"
	"upall/internal/event"
)

// startDue starts what may: a service waits for nothing but a start gate, the
// back-off of its restart, and who is restarted together with it. A start may open
// the gates of others.
func (m *machine) startDue(now time.Time) (out []any) {
	out = m.startAgain()
	out = append(out, m.failGated(now)...) // it may end the project, so it comes before any start
	for again := true; again; {
		again = false
		for _, i := range m.instances {
			if !m.mayStart(now, i) {
				continue
			}
			again = true
			out = append(out, m.start(now, i)...)
		}
	}
	return out
}

func (m *machine) start(now time.Time, i *instance) []any {
	i.runs(now)
	return []any{m.change(i, event.Starting, ""), startProgram{i}}
}

// runs notes that a run of the instance begins.
func (i *instance) runs(now time.Time) {
	i.Started, i.StartAt, i.OverAt, i.KillAt, i.Code = now, time.Time{}, time.Time{}, time.Time{}, 0
	i.Stop, i.Health, i.Ready, i.Began = notStopping, "", false, false
}

func (m *machine) mayStart(now time.Time, i *instance) bool {
	switch {
	case m.stopping || !i.Wanted:
		return false
	case i.State == event.Created:
		return m.isOpen(i.service)
	default:
		return i.State == event.Restarting && !i.StartAt.IsZero() && !i.StartAt.After(now)
	}
}

// startAgain has those start that are restarted, when the last of them has ended:
// one that starts sooner would connect to another's old run.
func (m *machine) startAgain() (out []any) {
	if m.stopping {
		return nil
	}
	for _, i := range m.instances {
		if i.Again && i.isRunning() {
			return nil
		}
	}
	for _, i := range m.instances {
		if !i.Again {
			continue
		}
		i.Again = false
		i.take()
		i.StartAt, i.OverAt = time.Time{}, time.Time{}
		out = append(out, m.change(i, event.Created, ""))
	}
	return out
}

// take makes the instance what the plan says by now.
func (i *instance) take() {
	if i.next != nil {
		i.Instance, i.service, i.next = i.next.Instance, i.next.service, nil
	}
}

// failGated ends the instances whose start gates will not open. That may fail
// the gates of others.
func (m *machine) failGated(now time.Time) (out []any) {
	for again := true; again; {
		again = false
		for _, i := range m.instances {
			if i.State != event.Created || m.stopping || !i.Wanted {
				continue
			}
			why, warnings := m.brokenGate(i.service)
			out = append(out, warnings...)
			if why == "" {
				continue
			}
			again, i.Code = true, 1
			out = append(out, m.change(i, event.Failed, "not started: "+why))
			out = append(out, m.checkEnding(now, i)...)
		}
	}
	return out
}

// isOpen tells whether nothing is in the way of the service's start.
func (m *machine) isOpen(s *compose.Service) bool {
	for _, g := range s.Gates {
		if open, broken := m.startGate(g); !open && (broken == "" || g.Required) {
			return false
		}
	}
	return true
}

// brokenGate says why the service's start gates will not open, "" while they may.
// An optional dependency (required: false) keeps nobody from starting.
func (m *machine) brokenGate(s *compose.Service) (why string, warnings []any) {
	for _, g := range s.Gates {
		_, broken := m.startGate(g)
		switch {
		case broken == "":
		case g.Required:
			return broken, warnings
		default:
			if key := s.Name + "\x00" + broken; !m.warned[key] {
				m.warned[key] = true
				warnings = append(warnings, warned{s.Name, "starts without an optional dependency: " + broken})
			}
		}
	}
	return "", warnings
}

// startGate tells whether the gate keeps nobody from starting, or why it will not
// open.
func (m *machine) startGate(g compose.Gate) (open bool, broken string) {
	if g.Kind != compose.GateStart {
		return true, ""
	}
	open = true
	for _, i := range m.of([]string{g.Service}) {
		is, broken := i.fulfils(g.Condition)
		if broken != "" {
			return false, broken
		}
		open = open && is
	}
	return open, ""
}

// fulfils tells whether the instance fulfils a condition, or why it will not. A
// service that has no healthcheck is healthy when it is ready.
func (i *instance) fulfils(c compose.Condition) (is bool, broken string) {
	switch {
	case i.State == event.Failed:
		return false, i.service.Name + " was not started"
	case c == compose.Completed:
		if i.State == event.Exited && i.Code != 0 {
			return false, i.exit()
		}
		return i.State == event.Exited, ""
	case c == compose.Healthy && i.HasCheck && i.Health == event.Unhealthy:
		return false, i.service.Name + " is unhealthy"
	case c == compose.Healthy && i.State == event.Exited:
		return false, i.exit()
	case c == compose.Healthy && i.HasCheck:
		return i.Health == event.Healthy, ""
	case c == compose.Healthy:
		return i.Ready, ""
	}
	return i.State != event.Created, ""
}

func (i *instance) exit() string {
	return fmt.Sprintf("%s exited with code %d", i.service.Name, i.Code)
}
