package supervisor

import (
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
	startAt  time.Time // restarting by the machine: when
	overAt   time.Time // restarting by somebody else, maybe: until when that is waited for
	killAt   time.Time // stopping: when patience ends
}

// returnPatience is how long an instance that somebody has ended from outside may
// take to be started again before it counts as exited.
const returnPatience = 3 * time.Second

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
		then     then
	}
	// began: the instance was started by somebody else.
	began struct{ instance string }
	stop  struct{} // gracefully
	kill  struct{}
	tick  struct{}
)

// then says what follows the end of an instance.
type then int

const (
	asPolicy  then = iota // what the machine makes of its restart policy
	over                  // nothing
	restarts              // somebody else starts it again
	mayReturn             // somebody else may
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
		begun bool // somebody else has started it
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
	case began:
		out = m.began(now, in)
	case stop:
		out = m.stop(now)
	case kill:
		out = m.kill(now)
	case tick:
	}
	out = append(out, m.giveUpDue(now)...)
	out = append(out, m.startDue(now)...)
	return append(out, m.killDue(now)...)
}

// next tells when step wants a tick.
func (m *machine) next() (at time.Time, ok bool) {
	for _, i := range m.instances {
		t := i.startAt
		switch {
		case i.isRunning():
			t = i.killAt
		case !i.overAt.IsZero():
			t = i.overAt
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
	return changed{instance: i, state: s, code: i.code, final: i.isOver(), why: why}
}

func (m *machine) find(name string) *instance {
	n := slices.IndexFunc(m.instances, func(i *instance) bool { return i.Name == name })
	if n < 0 {
		return nil
	}
	return m.instances[n]
}
