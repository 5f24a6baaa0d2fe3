package supervisor

import (
	"fmt"
	"slices"
	"time"

	"upall/compose"
	"upall/internal/event"
)

// The back-off between restarts, as Docker Engine has it: doubled each time, and
// back at the start after a run of backoffReset.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = time.Minute
	backoffReset = 10 * time.Second
)

// Ending says when a project ends before all of its instances have.
type Ending struct {
	OnExit    bool   // at the first exit
	OnFailure bool   // at the first exit with a code other than 0
	From      string // when this service exits; its code is the project's
}

// machine decides the life of a project's instances. It is pure: step takes what
// happened and returns what is to be done.
type machine struct {
	instances []*instance
	ending    Ending
	grace     *time.Duration // overrides the services' own
	stopping  bool
	code      int  // of the project, once known
	hasCode   bool // code is decided
}

type instance struct {
	compose.Instance
	service  *compose.Service
	state    event.State
	code     int
	started  time.Time
	restarts int
	backoff  time.Duration
	startAt  time.Time // restarting: when
	killAt   time.Time // stopping: when patience ends
}

func newMachine(plan *compose.Plan, ending Ending, grace *time.Duration) *machine {
	m := &machine{ending: ending, grace: grace}
	for n := range plan.Services {
		s := &plan.Services[n]
		for _, i := range s.Instances {
			m.instances = append(m.instances, &instance{Instance: i, service: s, state: event.Created})
		}
	}
	return m
}

// The inputs of the machine.
type (
	begin struct{}
	// ended: the instance's program has ended, or could not be started.
	ended struct {
		instance string
		code     int
	}
	stop struct{} // gracefully
	kill struct{}
	tick struct{}
)

// The outputs of the machine.
type (
	startProgram struct{ *instance }
	stopProgram  struct{ *instance } // send the stop signal
	killProgram  struct{ *instance }
	// changed: the instance entered a state; final: it will not run again.
	changed struct {
		*instance
		state event.State
		code  int
		final bool
		why   string
	}
)

func (m *machine) step(now time.Time, in any) (out []any) {
	switch in := in.(type) {
	case begin:
		for _, i := range m.instances {
			out = append(out, m.change(i, event.Created, ""))
		}
	case ended:
		out = m.end(now, in)
	case stop:
		out = m.stop(now)
	case kill:
		out = m.kill(now)
	case tick:
	}
	out = append(out, m.startDue(now)...)
	return append(out, m.killDue(now)...)
}

// next tells when step wants a tick.
func (m *machine) next() (at time.Time, ok bool) {
	for _, i := range m.instances {
		t := i.startAt
		if i.isRunning() {
			t = i.killAt
		}
		if !t.IsZero() && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}

// isDone tells whether no instance runs or is to be started.
func (m *machine) isDone() bool {
	return !slices.ContainsFunc(m.instances, func(i *instance) bool { return !i.isOver() })
}

func (i *instance) isRunning() bool { return i.state == event.Starting }

func (i *instance) isOver() bool { return i.state == event.Exited || i.state == event.Failed }

func (m *machine) change(i *instance, s event.State, why string) changed {
	i.state = s
	return changed{i, s, i.code, i.isOver(), why}
}

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
		return i.state == event.Restarting && !i.startAt.After(now)
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

func (m *machine) end(now time.Time, in ended) (out []any) {
	n := slices.IndexFunc(m.instances, func(i *instance) bool { return i.Name == in.instance })
	if n < 0 || !m.instances[n].isRunning() {
		return nil
	}
	i := m.instances[n]
	i.code, i.killAt = in.code, time.Time{}
	if !m.stopping && i.restartsAfter(in.code) {
		if now.Sub(i.started) >= backoffReset {
			i.backoff = 0
		}
		i.backoff = min(max(backoffFirst, 2*i.backoff), backoffMost)
		i.restarts++
		i.startAt = now.Add(i.backoff)
		return []any{m.change(i, event.Restarting, "")}
	}
	out = append(out, m.change(i, event.Exited, ""))
	return append(out, m.checkEnding(now, i)...)
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
			i.killAt = now.Add(grace)
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
	i.startAt = time.Time{}
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
