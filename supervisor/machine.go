package supervisor

import (
	"slices"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/control"
)

// The back-off between restarts, as Docker Engine has it: doubled each time, and
// back at the start after a run of backoffReset.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = time.Minute
	backoffReset = 10 * time.Second
)

// Ending says when a project ends before all of its instances have.
type Ending = control.Ending

// machine decides the life of a project's instances. It is pure: step takes what
// happened and returns what is to be done.
type machine struct {
	instances []*instance
	ending    Ending
	grace     *time.Duration // overrides the services' own
	edges     edges          // observed: who is stopped before whom
	warned    map[string]bool
	stopping  bool // all of the project
	code      int  // of the project, once known
	hasCode   bool // code is decided
}

type instance struct {
	compose.Instance
	service *compose.Service
	next    *definition // what it runs as after its end, nil: as now
	life
}

// definition is what the plan says of an instance.
type definition struct {
	compose.Instance
	service *compose.Service
}

// life is what has become of an instance: all that its definition does not say.
type life struct {
	State    event.State    `json:"state"`
	Code     int            `json:"code,omitempty"`
	Wanted   bool           `json:"wanted,omitempty"`  // it is to run
	Removed  bool           `json:"removed,omitempty"` // the plan does not have it any more
	Stop     stopPhase      `json:"stop,omitempty"`
	Again    bool           `json:"again,omitempty"` // starts anew when all that are to have ended
	Grace    *time.Duration `json:"grace,omitempty"` // of the stop that is under way
	Started  time.Time      `json:"started,omitzero"`
	Began    bool           `json:"began,omitempty"` // the program of this run is there
	Restarts int            `json:"restarts,omitempty"`
	Backoff  time.Duration  `json:"backoff,omitempty"`
	StartAt  time.Time      `json:"start_at,omitzero"` // restarting by the machine: when
	OverAt   time.Time      `json:"over_at,omitzero"`  // restarting by somebody else, maybe: until when that is waited for
	KillAt   time.Time      `json:"kill_at,omitzero"`  // stopping: when patience ends
	HasCheck bool           `json:"has_check,omitempty"`
	Health   event.Type     `json:"health,omitempty"` // event.Healthy or event.Unhealthy, "" while it is not known
	Ready    bool           `json:"ready,omitempty"`
}

// stopPhase is how far the stop of an instance has come.
type stopPhase string

const (
	notStopping stopPhase = ""
	stopDue     stopPhase = "due"  // it waits for its clients to end
	stopSent    stopPhase = "sent" // it has the signal
)

// returnPatience is how long an instance that somebody has ended from outside may
// take to be started again before it counts as exited.
const returnPatience = 10 * time.Second

func newMachine(plan *compose.Plan, ending Ending, grace *time.Duration) *machine {
	m := &machine{ending: ending, grace: grace, edges: edges{}, warned: map[string]bool{}}
	for _, d := range definitions(plan) {
		m.instances = append(m.instances, newInstance(d))
	}
	return m
}

func newInstance(d definition) *instance {
	return &instance{Instance: d.Instance, service: d.service, life: life{State: event.Created, Wanted: true}}
}

func definitions(plan *compose.Plan) (all []definition) {
	for n := range plan.Services {
		s := &plan.Services[n]
		for _, i := range s.Instances {
			all = append(all, definition{i, s})
		}
	}
	return all
}

// The inputs of the machine, beside those of machine_apply.go and machine_stop.go.
type (
	begin struct{}
	// ended: the instance's program has ended, or could not be started.
	ended struct {
		instance string
		code     int
		then     then
		at       time.Time // when; of a run that began later it says nothing. Zero: now
	}
	// began: the instance was started by somebody else.
	began struct {
		instance string
		at       time.Time // when; zero: now
	}
	// healthSays: what its healthcheck says.
	healthSays struct {
		instance string
		is       event.Type // event.Healthy or event.Unhealthy
	}
	ran     struct{ instance string } // its program is there
	readied struct{ instance string } // it is ready
	tick    struct{}
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
	// stopProgram: send the stop signal. For the engine, which kills by itself, the
	// instance's grace is how long it waits.
	stopProgram struct{ *instance }
	killProgram struct{ *instance }
	// changed: the instance entered a state; final: it will not run again.
	changed struct {
		*instance
		state event.State
		code  int
		final bool
		begun bool // somebody else has started it
		why   string
	}
	// removed: the instance is not there any more.
	removed struct{ *instance }
	// warned: what a person should know of a service.
	warned struct{ service, message string }
)

func (m *machine) step(now time.Time, in any) (out []any) {
	switch in := in.(type) {
	case begin:
		for _, i := range m.instances {
			state := event.Created
			if !i.Wanted {
				state = event.Exited // it was before
			}
			out = append(out, m.change(i, state, ""))
		}
	case apply:
		out = m.apply(now, in)
	case ended:
		out = m.end(now, in)
	case began:
		out = m.began(now, in)
	case healthSays:
		if i := m.find(in.instance); i != nil && i.isRunning() {
			i.Health = in.is
		}
	case ran:
		if i := m.find(in.instance); i != nil && i.isRunning() {
			i.Began = true
		}
	case readied:
		if i := m.find(in.instance); i != nil && i.isRunning() {
			i.Ready = true
		}
	case edge:
		m.edges[in] = true
	case stopServices:
		out = m.stopServices(now, in)
	case startServices:
		out = m.startServices(in)
	case restartServices:
		out = m.restartServices(now, in)
	case stop:
		out = m.stop(now, in)
	case kill:
		out = m.kill(now)
	case resume:
		out = m.resume(now, in)
	case tick:
	}
	return append(out, m.settle(now)...)
}

// settle does what has become due.
func (m *machine) settle(now time.Time) (out []any) {
	out = append(out, m.giveUpDue(now)...)
	out = append(out, m.stopDue(now)...)
	out = append(out, m.removeOver()...)
	out = append(out, m.startDue(now)...)
	return append(out, m.killDue(now)...)
}

// next tells when step wants a tick.
func (m *machine) next() (at time.Time, ok bool) {
	for _, i := range m.instances {
		t := i.StartAt
		switch {
		case i.isRunning():
			t = i.KillAt
		case !i.OverAt.IsZero():
			t = i.OverAt
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

func (i *instance) isRunning() bool { return i.State == event.Starting }

// isOver: one that nobody wants may never have run.
func (i *instance) isOver() bool { return i.hasEnded() || (i.State == event.Created && !i.Wanted) }

func (i *instance) hasEnded() bool { return i.State == event.Exited || i.State == event.Failed }

func (m *machine) change(i *instance, s event.State, why string) changed {
	i.State = s
	return changed{instance: i, state: s, code: i.Code, final: i.hasEnded(), why: why}
}

func (m *machine) find(name string) *instance { return find(m.instances, name) }

// of returns the instances of services, of all for none.
func (m *machine) of(services []string) (all []*instance) {
	for _, i := range m.instances {
		if len(services) == 0 || slices.Contains(services, i.service.Name) {
			all = append(all, i)
		}
	}
	return all
}
