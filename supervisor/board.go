package supervisor

import (
	"errors"
	"sync"
	"time"

	"upall/compose"
	"upall/intercept/traffic"
	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/record"
	"upall/supervisor/status"
)

// board is what is known of the project outside of the loop: events go through it
// to those who read them, and a snapshot is taken from it.
type board struct {
	log    *control.Log
	output *control.Output // of processes
	path   string          // of what a later life is to know
	// What the loop is to know of; they may wait for it.
	ready    func(instance string)
	listens  func(instance string)
	observed func(client, server string)

	mu      sync.Mutex // guards what follows: the bus writes it, anybody asks
	tracker *status.Tracker
	fixed   control.Snapshot // what does not come from the tracker
	runtime map[string]compose.Runtime
	edges   edges
	// Bytes: services of instances, and what went over edges in earlier lives, and
	// over connections that are over.
	services       map[string]string
	before, closed map[status.EdgeKey]traffic.Counts
	isNew          bool // something is not saved yet
	savedAt        time.Time
	restored       chan struct{} // until it is closed events wait; nil: they need not
	recording
	diagnoses
}

// consume takes an event from the bus.
func (b *board) consume(e event.Event) {
	if e.Type == event.Log {
		b.consumeLog(e)
		return
	}
	b.lockRestored()
	if e.Type == event.Diagnosed && b.tracker != nil {
		b.diagnose(e)
		b.mu.Unlock()
		return
	}
	if e.Type == event.ProjectChanged {
		b.tellDiagnoses(e.Time.Add(lineDelay)) // nothing comes after its end
	}
	derived := b.add(e)
	isNew := b.isNewEdge(e)
	b.mu.Unlock()
	for _, d := range derived {
		if d.Type == event.Ready {
			b.ready(d.Instance)
		}
	}
	switch {
	case isNew:
		b.observed(e.Service, e.Target)
	case e.Type == event.Listening:
		b.listens(e.Instance)
	}
}

// isNewEdge tells whether a service connects to another for the first time.
func (b *board) isNewEdge(e event.Event) bool {
	if (e.Type != event.Connected && e.Type != event.HoldBegan) || b.edges[edge{e.Service, e.Target}] || e.Target == "" {
		return false
	}
	b.edges[edge{e.Service, e.Target}] = true
	return true
}

// add is called with mu held.
func (b *board) add(e event.Event) (derived []event.Event) {
	if e.Type == event.ProjectChanged {
		b.changePhase(e)
	}
	if b.tracker != nil {
		derived = b.tracker.Add(e)
		b.writer.Edges(b.tracker.Changed(e)) // now: a crash may come
	}
	b.append(e)
	for _, d := range derived {
		b.append(d)
	}
	b.isNew = b.isNew || e.Type != event.HoldBegan && e.Type != event.HoldEnded
	b.saveSoon()
	return derived
}

// append is called with mu held, so that a snapshot has the number of the newest
// event that it includes.
func (b *board) append(e event.Event) {
	b.fixed.Seq = b.log.Append(e)
	b.writer.Event(e)
}

func (b *board) consumeLog(e event.Event) {
	b.mu.Lock()
	isProcess := b.runtime[e.Service] == compose.Process
	b.mu.Unlock()
	if isProcess { // first, so that what an event was of can be read
		b.output.Write(control.LogLine{Time: e.Time, Service: e.Service, Instance: e.Instance, Stream: e.Stream, Message: e.Message})
	}
	b.mu.Lock()
	b.wrote(e)
	b.fixed.Seq = b.log.Append(e)
	b.mu.Unlock()
}

func (b *board) changePhase(e event.Event) {
	switch e.State {
	case event.Starting:
		b.fixed.Phase, b.fixed.Error, b.fixed.Code = control.Starting, "", 0
	case event.StateUp:
		b.fixed.Phase = control.Up
	case event.StateStopping:
		b.fixed.Phase = control.Stopping
	case event.StateOver:
		b.fixed.Phase, b.fixed.Code = control.Over, e.Code
	case event.Failed:
		b.fixed.Error, b.fixed.Code = e.Message, e.Code
	}
}

// tick has time pass for what is ready once it has been quiet for a while. It
// returns the instances that are so now.
func (b *board) tick(now time.Time) (ready []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tracker == nil {
		return nil
	}
	b.tellDiagnoses(now)
	for _, d := range b.tracker.Tick(now) {
		b.append(d)
		if d.Type == event.Ready {
			ready = append(ready, d.Instance)
		}
	}
	b.saveSoon()
	return ready
}

// publish has the board know the ports of the host that lead to processes.
func (b *board) publish(all []control.Published) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fixed.Published = all
}

// follow has the board know a plan.
func (b *board) follow(plan *compose.Plan, intercepted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tracker == nil {
		b.tracker = status.NewTracker(plan, intercepted)
	} else {
		b.tracker.Update(plan)
	}
	b.writer.Plan(record.PlanOf(plan, time.Now()))
	b.runtime, b.fixed.Processes = map[string]compose.Runtime{}, []compose.Instance{}
	for _, s := range plan.Services {
		b.runtime[s.Name] = s.Runtime
		for _, i := range s.Instances {
			b.services[i.Name] = s.Name
		}
		if s.Runtime == compose.Process {
			b.fixed.Processes = append(b.fixed.Processes, s.Instances...)
		}
	}
}

// change changes what is known, at the side of events.
func (b *board) change(f func(*status.Tracker)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b.tracker)
}

// Snapshot is of the newest event.
func (s *supervisor) Snapshot() control.Snapshot { return s.board.snapshot() }

func (b *board) snapshot() control.Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.fixed
	s.Instances, s.Holds, s.Edges = []status.Status{}, []control.HoldInfo{}, []control.Edge{}
	s.Diagnoses = []control.Diagnosis{}
	if b.tracker != nil {
		v := b.tracker.View()
		s.Instances, s.Holds, s.Edges = v.Instances, v.Holds, v.Edges
		s.Diagnoses = v.Diagnoses
	}
	return s
}

func (b *board) close() error { return errors.Join(b.output.Close(), b.closeRecord()) }

// lostKeeper has a snapshot say that there is none.
func (b *board) lostKeeper() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fixed.KeeperPID = 0
}
