// Package timeline tells what each instance of a project did in a run, and why its
// start took as long as it did.
//
// Use: New with a run on record; then Text, JSON, Trace or SVG.
// Ownership: a Timeline is plain data, and nobody changes it after New. Promises:
// pure, and equal runs give equal texts; whatever is missing in a record or is out of
// order, the critical path ends and has no gaps.
// Tests: tables from scripts of events, a golden for each form, and a fuzz target.
package timeline

import (
	"slices"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/record"
)

// Timeline is a run of a project. Times are offsets from Started. Its JSON form is in
// docs/timeline.md, and stays.
type Timeline struct {
	Project string    `json:"project"`
	Started time.Time `json:"started"` // when the project began to start
	// End is when the last instance of the start was ready, had completed, or failed;
	// the last event where none has come so far.
	End       time.Duration `json:"end_ns"`
	Last      time.Duration `json:"last_ns"` // of what is on record
	Over      bool          `json:"over"`    // nothing of it runs any more
	Lost      int           `json:"lost"`    // events that are missing on record
	Instances []*Instance   `json:"instances"`
	// Path is nil where nothing is ready yet.
	Path     *Path     `json:"critical_path,omitempty"`
	Estimate *Estimate `json:"estimate,omitempty"`

	plan record.Plan
}

// Instance is one of a service, with each of its runs.
type Instance struct {
	Service string          `json:"service"`
	Name    string          `json:"instance"`
	Runtime compose.Runtime `json:"runtime,omitempty"`
	// InStart says that it belongs to the start of the project, and came to it by no
	// later `upall up`.
	InStart bool   `json:"in_start"`
	Runs    []*Run `json:"runs"`

	title string        // its name to people
	last  time.Duration // of its events
}

// Run is the life of one process or container, until it exits. A moment that is nil
// has not come.
type Run struct {
	Created   *time.Duration `json:"created_ns,omitempty"`
	Begun     *time.Duration `json:"starting_ns,omitempty"` // upall begins to start it
	Started   *time.Duration `json:"started_ns,omitempty"`  // its program runs
	Connect   *Connect       `json:"first_connect,omitempty"`
	Listening []Listening    `json:"listening,omitempty"` // the first of each port, in order
	Serving   *time.Duration `json:"serving_ns,omitempty"`
	Healthy   *time.Duration `json:"healthy_ns,omitempty"`
	Ready     *time.Duration `json:"ready_ns,omitempty"`
	Stopping  *time.Duration `json:"stopping_ns,omitempty"` // it is asked to end
	Ended     *time.Duration `json:"ended_ns,omitempty"`
	State     event.State    `json:"state,omitempty"` // how it ended: exited, restarting or failed
	Code      int            `json:"code,omitempty"`
	Message   string         `json:"message,omitempty"` // why it could not be started
	Holds     []*Hold        `json:"holds,omitempty"`   // of its own connects
	Held      []Held         `json:"held,omitempty"`    // connects of others that waited for it
	Phases    []Phase        `json:"phases,omitempty"`

	known time.Duration // the first that was heard of it
}

// Connect is the first connect of a run to a service of the project.
type Connect struct {
	Target string        `json:"target"`
	Port   uint16        `json:"port"`
	At     time.Duration `json:"at_ns"`
}

// Listening is a port on which a run listens.
type Listening struct {
	Port uint16        `json:"port"`
	At   time.Duration `json:"at_ns"`
}

// Hold is a connect that waited.
type Hold struct {
	ID     uint64         `json:"id"`
	Target string         `json:"target"` // service
	Port   uint16         `json:"port"`
	From   time.Duration  `json:"from_ns"`
	To     *time.Duration `json:"to_ns,omitempty"` // nil: it still waits
	Way    event.Way      `json:"way,omitempty"`
	Cause  string         `json:"cause,omitempty"` // what it waits for
	End    event.End      `json:"end,omitempty"`
	EndsBy string         `json:"end_cause,omitempty"`
	// Server is the instance that it was held for, where that is known.
	Server string `json:"server,omitempty"`
	// By is what released it; nil where nothing that happened during the hold did.
	By *Release `json:"released_by,omitempty"`
}

// Release is what released a hold: its server listens, serves or is healthy, or a
// job has exited.
type Release struct {
	Instance string        `json:"instance"`
	Moment   Moment        `json:"moment"`
	At       time.Duration `json:"at_ns"`

	run *Run
	of  *Instance
}

// Held is a connect of somebody else that waited for a run.
type Held struct {
	Client string         `json:"client"` // instance
	Port   uint16         `json:"port"`
	From   time.Duration  `json:"from_ns"`
	To     *time.Duration `json:"to_ns,omitempty"`
	End    event.End      `json:"end,omitempty"`
}

// Moment names something that happens once in a run.
type Moment string

// The moments that others wait for, in the order of a life.
const (
	Start   Moment = "start"
	Listen  Moment = "listen"
	Serve   Moment = "serve"
	Healthy Moment = "healthy"
	Ready   Moment = "ready"
	Exit    Moment = "exit"
)

// New makes a Timeline.
func New(run *record.Run) *Timeline {
	r := newReader(run)
	for _, e := range run.Events {
		r.add(e)
	}
	t := r.t
	for _, i := range t.Instances {
		for _, run := range i.Runs {
			t.resolve(i, run)
		}
	}
	t.End = t.endOfStart()
	for _, i := range t.Instances {
		for _, run := range i.Runs {
			run.Phases = run.phases(t.Last)
		}
	}
	t.Path = t.criticalPath()
	t.Estimate = t.estimate(r.uses)
	return t
}

// arrival is when an instance had come to where its start was to bring it: when it
// was ready, or, as a job, had completed.
type arrival struct {
	at     time.Duration
	run    int
	moment Moment
}

// arrival returns the first of an instance.
func (i *Instance) arrival() (a arrival, ok bool) {
	for n, run := range i.Runs {
		switch {
		case run.completed() && (run.Ready == nil || run.wasEarly()):
			return arrival{*run.Ended, n, Exit}, true
		case run.Ready != nil:
			return arrival{*run.Ready, n, Ready}, true
		}
	}
	return arrival{}, false
}

// wasEarly tells whether a run that listens nowhere counted as ready, for it waited
// for nobody, and then was held after all.
func (r *Run) wasEarly() bool {
	return len(r.Listening) == 0 && slices.ContainsFunc(r.Holds, func(h *Hold) bool { return h.From >= *r.Ready })
}

// completed tells whether a run has ended well by itself.
func (r *Run) completed() bool {
	return r.Ended != nil && r.State == event.Exited && r.Code == 0 && r.Stopping == nil
}

// failure returns when an instance failed that never was ready.
func (i *Instance) failure() (at time.Duration, ok bool) {
	if _, arrived := i.arrival(); arrived || len(i.Runs) == 0 {
		return 0, false
	}
	last := i.Runs[len(i.Runs)-1]
	if last.Ended == nil || last.Stopping != nil || last.State == event.Restarting {
		return 0, false
	}
	return *last.Ended, true
}

// endOfStart is when the start was over.
func (t *Timeline) endOfStart() (end time.Duration) {
	var known bool
	for _, i := range t.Instances {
		if !i.InStart {
			continue
		}
		if a, ok := i.arrival(); ok {
			end, known = max(end, a.at), true
		}
		if at, ok := i.failure(); ok {
			end, known = max(end, at), true
		}
	}
	if !known || t.starts() {
		return t.Last
	}
	return end
}

// starts tells whether some instance of the start is still on its way, in a run that
// goes on.
func (t *Timeline) starts() bool {
	for _, i := range t.Instances {
		_, arrived := i.arrival()
		_, failed := i.failure()
		if i.InStart && !arrived && !failed && !i.wasStopped() {
			return !t.Over
		}
	}
	return false
}

// wasStopped tells whether an instance was asked to end.
func (i *Instance) wasStopped() bool {
	return len(i.Runs) > 0 && i.Runs[len(i.Runs)-1].Stopping != nil
}
