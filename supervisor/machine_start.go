package supervisor

import (
	"fmt"
	"time"

	"upall/compose"
	"upall/internal/event"
)

// startDue starts what may: a service waits for nothing but a start gate and the
// back-off of its restart. A start may open the gates of others.
func (m *machine) startDue(now time.Time) (out []any) {
	out = m.failGated(now) // it may end the project, so it comes before any start
	for again := true; again; {
		again = false
		for _, i := range m.instances {
			if !m.mayStart(now, i) {
				continue
			}
			again = true
			i.started, i.startAt, i.code = now, time.Time{}, 0
			out = append(out, m.change(i, event.Starting, ""), startProgram{i})
		}
	}
	return out
}

func (m *machine) mayStart(now time.Time, i *instance) bool {
	switch {
	case m.stopping:
		return false
	case i.state == event.Created:
		open, _ := m.startGate(i.service)
		return open
	default:
		return i.state == event.Restarting && !i.startAt.IsZero() && !i.startAt.After(now)
	}
}

// failGated ends the instances whose start gates will not open. That may fail
// the gates of others.
func (m *machine) failGated(now time.Time) (out []any) {
	for again := true; again; {
		again = false
		for _, i := range m.instances {
			if i.state != event.Created || m.stopping {
				continue
			}
			_, why := m.startGate(i.service)
			if why == "" {
				continue
			}
			again, i.code = true, 1
			out = append(out, m.change(i, event.Failed, why))
			out = append(out, m.checkEnding(now, i)...)
		}
	}
	return out
}

// startGate tells whether the jobs that the service's start waits for are done,
// or which has failed.
func (m *machine) startGate(s *compose.Service) (open bool, failed string) {
	open = true
	for _, g := range s.Gates {
		if g.Kind != compose.GateStart {
			continue
		}
		for _, i := range m.instances {
			switch {
			case i.service.Name != g.Service:
			case i.state == event.Failed:
				return false, fmt.Sprintf("not started: %s was not started", g.Service)
			case g.Condition != compose.Completed:
				open = open && i.state != event.Created
			case !i.isOver():
				open = false
			case i.code != 0:
				return false, fmt.Sprintf("not started: %s exited with code %d", g.Service, i.code)
			}
		}
	}
	return open, ""
}
