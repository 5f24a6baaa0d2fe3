package status

import (
	"maps"
	"slices"
	"time"

	"upall/compose"
	"upall/internal/event"
)

// Tracker follows a project's events. Make one with NewTracker.
type Tracker struct {
	instances []*instance // in the order of the plan
	holds     map[uint64]Hold
	edges     map[EdgeKey]Edge
	diagnoses []Diagnosis // oldest first
	sees      bool        // connects and listeners
}

// View is all that a Tracker knows.
type View struct {
	Instances []Status    `json:"instances"` // in the order of the plan
	Holds     []Hold      `json:"holds"`     // by ID
	Edges     []Edge      `json:"edges"`     // as Edge.Compare orders them
	Diagnoses []Diagnosis `json:"diagnoses"` // oldest first
}

// NewTracker follows the instances of a plan. Without interception nobody sees
// who listens: then an instance is ready as if it declared no ports.
func NewTracker(plan *compose.Plan, intercepted bool) *Tracker {
	t := &Tracker{holds: map[uint64]Hold{}, edges: map[EdgeKey]Edge{}, sees: intercepted}
	t.Update(plan)
	return t
}

// Update takes a plan in the place of the one before: what runs goes on.
func (t *Tracker) Update(plan *compose.Plan) {
	before, services, jobs := t.instances, map[string]bool{}, jobs(plan)
	t.instances = nil
	maps.DeleteFunc(t.edges, func(_ EdgeKey, e Edge) bool { return !e.Observed })
	for k, e := range t.edges {
		e.Declared = false
		t.edges[k] = e
	}
	for _, s := range plan.Services {
		services[s.Name] = true
		for _, planned := range s.Instances {
			i := find(before, planned.Name)
			if i == nil {
				i = newInstance(planned.Name, t.sees)
			}
			i.describe(s, jobs[s.Name])
			t.instances = append(t.instances, i)
		}
		for _, g := range s.Gates {
			t.see(Edge{Client: s.Name, Target: g.Service}, func(e *Edge) { e.Declared = true })
		}
	}
	t.forget(func(d *Diagnosis) bool { return find(t.instances, d.Instance) == nil })
	maps.DeleteFunc(t.edges, func(_ EdgeKey, e Edge) bool {
		return !services[e.Client] && !e.FromHost || !services[e.Target] && e.Target != ""
	})
}

// jobs are the services whose end others wait for. One that others want healthy is
// none: they wait for it while it runs.
func jobs(plan *compose.Plan) map[string]bool {
	is := map[string]bool{}
	for _, s := range plan.Services {
		for _, g := range s.Gates {
			is[g.Service] = is[g.Service] || g.Condition == compose.Completed
		}
	}
	for _, s := range plan.Services {
		for _, g := range s.Gates {
			if g.Condition == compose.Healthy {
				delete(is, g.Service)
			}
		}
	}
	return is
}

// Restore goes on from what an earlier Tracker of the same plan knew.
func (t *Tracker) Restore(v View) {
	for _, s := range v.Instances {
		if i := find(t.instances, s.Instance); i != nil {
			i.restore(s)
		}
	}
	for _, h := range v.Holds {
		t.holds[h.ID] = h
		if i := find(t.instances, h.Instance); i != nil {
			i.holds[h.ID] = h
		}
	}
	for _, i := range t.instances {
		if !i.Ready {
			i.lacks = i.missing(i.calmSince)
		} else {
			i.lacks = nothing
		}
	}
	t.diagnoses = v.Diagnoses
	for _, e := range v.Edges {
		if e.Observed {
			e.Declared = false // that is the plan's to say
			t.edges[e.Key()] = e
		}
	}
}

// HasCheck says that an instance has a healthcheck that its plan does not show,
// that of its image.
func (t *Tracker) HasCheck(name string) {
	if i := find(t.instances, name); i != nil && i.Health == NoCheck {
		i.Health = Checking
	}
}

// Exposes says that the image of an instance names a TCP port, which a plan does not
// show either.
func (t *Tracker) Exposes(name string) {
	if i := find(t.instances, name); i != nil {
		i.Exposes = true
	}
}

// Listens tells whether an instance was seen to listen, in this run.
func (t *Tracker) Listens(name string) bool {
	i := find(t.instances, name)
	return i != nil && len(i.Ports) > 0
}

// Probed notes a run of a healthcheck. What it decides comes as an event.
func (t *Tracker) Probed(name string, p Probe) {
	if i := find(t.instances, name); i != nil {
		i.HealthLog = append(slices.Clone(i.HealthLog), p)
		i.HealthLog = i.HealthLog[max(0, len(i.HealthLog)-maxProbes):]
	}
}

// Add takes an event and returns those that follow from it: states that an
// instance has entered, and Ready. They need not be given back.
func (t *Tracker) Add(e event.Event) []event.Event {
	t.cure(e)
	switch e.Type {
	case event.Log:
		return nil
	case event.Diagnosed:
		t.diagnose(e)
		return nil
	case event.HoldBegan:
		h := Hold{ID: e.Hold, Service: e.Service, Instance: e.Instance, Target: e.Target, Port: e.Port, Since: e.Time, Cause: e.Cause, Way: e.Way}
		t.holds[e.Hold] = h
	case event.HoldEnded:
		t.connect(e)
		delete(t.holds, e.Hold)
	case event.Connected:
		t.connect(e)
	}
	i := find(t.instances, e.Instance)
	if i == nil {
		return nil
	}
	i.add(e)
	return i.settle(e.Time)
}

// Next tells when a Tick is wanted.
func (t *Tracker) Next() (at time.Time, ok bool) {
	for _, i := range t.instances {
		if due, is := i.due(); is && (!ok || due.Before(at)) {
			at, ok = due, true
		}
	}
	return at, ok
}

// Tick says that time has passed, and returns events as Add does.
func (t *Tracker) Tick(now time.Time) (out []event.Event) {
	for _, i := range t.instances {
		if due, ok := i.due(); ok && !due.After(now) {
			out = append(out, i.settle(now)...)
		}
	}
	return out
}

// View returns a copy of what is known. It takes a millisecond for some thousand
// holds, so make it when somebody asks.
func (t *Tracker) View() View {
	v := View{Instances: make([]Status, 0, len(t.instances)), Holds: t.sortedHolds(), Edges: t.sortedEdges(), Diagnoses: append([]Diagnosis{}, t.diagnoses...)}
	heldFor := map[string]int{}
	for _, h := range v.Holds {
		heldFor[h.Target]++
	}
	for _, i := range t.instances {
		s := i.status()
		s.HeldFor = heldFor[s.Service]
		t.explain(s.Instance, s.WaitingOn)
		v.Instances = append(v.Instances, s)
	}
	return v
}

func find(all []*instance, name string) *instance {
	n := slices.IndexFunc(all, func(i *instance) bool { return i.Instance == name })
	if n < 0 {
		return nil
	}
	return all[n]
}
