package timeline

import (
	"time"

	"upall/internal/event"
	"upall/supervisor/record"
)

// use is that a service connected to another before it was ready.
type use struct{ client, target string }

// reader makes a Timeline of events.
type reader struct {
	t      *Timeline
	zero   time.Time
	byName map[string]*Instance
	open   map[uint64]*Hold
	uses   map[use]time.Duration // the first of each
	wasUp  bool                  // what comes now is no part of the start
}

func newReader(run *record.Run) *reader {
	r := &reader{
		t:    &Timeline{Project: run.Project, Lost: run.Lost, Instances: []*Instance{}, plan: run.Plan},
		zero: zeroOf(run), byName: map[string]*Instance{}, open: map[uint64]*Hold{}, uses: map[use]time.Duration{},
	}
	r.t.Started = r.zero
	for _, s := range run.Plan.Services {
		for _, name := range s.Instances {
			i := r.instance(s.Name, name)
			i.Runtime = s.Runtime
			if len(s.Instances) == 1 {
				i.title = s.Name
			}
		}
	}
	return r
}

// zeroOf is when the project began to start.
func zeroOf(run *record.Run) time.Time {
	for _, e := range run.Events {
		if e.Type == event.StateChanged || e.Type == event.ProjectChanged && e.State == event.Starting {
			return e.Time
		}
	}
	return run.Started
}

// instance returns the instance with a name, a new one if there is none.
func (r *reader) instance(service, name string) *Instance {
	i := r.byName[name]
	if i == nil {
		i = &Instance{Service: service, Name: name, title: name, Runs: []*Run{}}
		r.byName[name] = i
		r.t.Instances = append(r.t.Instances, i)
	}
	return i
}

func (r *reader) add(e event.Event) {
	at := max(0, e.Time.Sub(r.zero))
	r.t.Last = max(r.t.Last, at)
	switch e.Type {
	case event.ProjectChanged:
		r.wasUp = r.wasUp || e.State != event.Starting
		r.t.Over = e.State == event.StateOver
		return
	case event.HoldEnded:
		r.endHold(e, at)
		return
	case event.StateChanged, event.Started:
		i := r.instance(e.Service, e.Instance)
		i.InStart = i.InStart || !r.wasUp && len(i.Runs) == 0
	}
	i := r.byName[e.Instance]
	if i == nil {
		return // of no instance, or of a program of the host
	}
	i.last = max(i.last, at)
	if e.Type == event.StateChanged {
		i.change(e, i.last)
		return
	}
	r.happen(i, e, i.last)
}

// current returns the run of an instance that goes on, a new one where none does.
func (i *Instance) current(at time.Duration) *Run {
	if n := len(i.Runs); n > 0 && i.Runs[n-1].Ended == nil {
		return i.Runs[n-1]
	}
	run := &Run{known: at}
	i.Runs = append(i.Runs, run)
	return run
}

// first notes a moment that comes once.
func first(moment **time.Duration, at time.Duration) {
	if *moment == nil {
		*moment = &at
	}
}

// change takes a state. Those that follow from other events say nothing new.
func (i *Instance) change(e event.Event, at time.Duration) {
	n := len(i.Runs)
	runs := n > 0 && i.Runs[n-1].Ended == nil
	switch e.State {
	case event.Created:
		first(&i.current(at).Created, at)
	case event.Starting:
		first(&i.current(at).Begun, at)
	case event.StateStopping:
		if runs {
			first(&i.Runs[n-1].Stopping, at)
		}
	case event.Restarting, event.Exited, event.Failed:
		if n == 0 || runs {
			run := i.current(at)
			first(&run.Ended, at)
			run.Code = e.Code
		}
		run := i.Runs[len(i.Runs)-1]
		run.State, run.Message = e.State, e.Message
	}
}

// happen takes what an instance does.
func (r *reader) happen(i *Instance, e event.Event, at time.Duration) {
	switch e.Type {
	case event.Started:
		first(&i.current(at).Started, at)
	case event.Listening:
		i.current(at).listen(e.Port, at)
	case event.Serving:
		first(&i.current(at).Serving, at)
	case event.Healthy:
		first(&i.current(at).Healthy, at)
	case event.Ready:
		first(&i.current(at).Ready, at)
	case event.Connected:
		r.connect(i, e, at)
	case event.HoldBegan:
		r.connect(i, e, at)
		if r.open[e.Hold] == nil {
			h := &Hold{ID: e.Hold, Target: e.Target, Port: e.Port, From: at, Way: e.Way, Cause: e.Cause}
			r.open[e.Hold] = h
			run := i.current(at)
			run.Holds = append(run.Holds, h)
		}
	}
}

func (r *Run) listen(port uint16, at time.Duration) {
	for _, l := range r.Listening {
		if l.Port == port {
			return
		}
	}
	r.Listening = append(r.Listening, Listening{port, at})
}

func (r *reader) connect(i *Instance, e event.Event, at time.Duration) {
	run := i.current(at)
	if run.Connect == nil {
		run.Connect = &Connect{e.Target, e.Port, at}
	}
	key := use{i.Service, e.Target}
	if _, known := r.uses[key]; !known {
		r.uses[key] = at
	}
}

func (r *reader) endHold(e event.Event, at time.Duration) {
	h := r.open[e.Hold]
	if h == nil {
		return
	}
	delete(r.open, e.Hold)
	at = max(at, h.From)
	h.To, h.End, h.EndsBy = &at, e.End, e.Cause
	if e.Way != "" {
		h.Way = e.Way
	}
}
