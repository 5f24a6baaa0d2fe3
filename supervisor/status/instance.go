package status

import (
	"slices"
	"time"

	"upall/compose"
	"upall/internal/event"
)

// quiet is how long an instance without declared ports must have run, without a
// listener and without waiting for anybody, to count as ready.
const quiet = time.Second

// quietServer is the same for one whose image exposes a port: it is a server, which
// may take its time to listen, or it runs another program of a server's image, and
// never will.
const quietServer = 10 * time.Second

// maxProbes is how many runs of a healthcheck are kept.
const maxProbes = 5

// instance is what is known of one.
type instance struct {
	Status
	told  event.State // the newest that is no conclusion of this package
	lacks lack        // Missing is made from it
	holds map[uint64]Hold
	sees  bool // listeners are seen

	calmSince time.Time // it waits for nobody
}

func newInstance(name string, sees bool) *instance {
	return &instance{Status: Status{Instance: name, State: event.Created}, told: event.Created, lacks: itsStart, holds: map[uint64]Hold{}, sees: sees}
}

// describe takes what the plan says of the instance's service.
func (i *instance) describe(s compose.Service, isJob bool) {
	i.Service, i.Runtime, i.Declared = s.Name, s.Runtime, nil
	for _, p := range s.Ports {
		if p.Protocol == "tcp" {
			i.Declared = append(i.Declared, p.Number)
		}
	}
	i.HealthDecides, i.Job = s.Settings.Ready != compose.ReadyListen, isJob
	switch {
	case s.NoHealth:
		i.Health = NoCheck
	case s.Health != nil && i.Health == NoCheck:
		i.Health = Checking
	}
}

// restore goes on from an earlier status.
func (i *instance) restore(s Status) {
	s.Service, s.Runtime, s.Declared, s.HealthDecides, s.Job = i.Service, i.Runtime, i.Declared, i.HealthDecides, i.Job
	i.Status, i.told = s, s.State
	if isConclusion(s.State) {
		i.told = event.Starting
	}
	i.calmSince = s.Started
	if s.Since.After(i.calmSince) {
		i.calmSince = s.Since // a wait that ended changed the state, unless it was ready
	}
}

func isConclusion(s event.State) bool {
	return s == event.StateWaiting || s == event.StateListening || s == event.StateReady
}

func (i *instance) add(e event.Event) {
	switch e.Type {
	case event.StateChanged:
		i.change(e)
	case event.Started:
		i.Started, i.calmSince, i.PID, i.ContainerID = e.Time, e.Time, e.PID, e.ContainerID
	case event.Listening:
		i.Ports = sortedPorts(i.Ports, e.Port)
		if !i.Ready {
			i.calmSince = e.Time // whether it serves is told next
		}
	case event.Serving:
		i.Serving = true
	case event.Healthy:
		i.Health = Healthy
	case event.Unhealthy:
		i.Health = Unhealthy
	case event.HoldBegan:
		i.holds[e.Hold] = Hold{ID: e.Hold, Target: e.Target, Port: e.Port, Since: e.Time, Cause: e.Cause, Way: e.Way}
	case event.HoldEnded:
		// A connect that is refused at once has not waited: who tries again and again is
		// calm. Of a wait before a crash the hold may not be known, but the state is.
		if _, waited := i.holds[e.Hold]; waited || i.State == event.StateWaiting {
			i.calmSince = e.Time
		}
		delete(i.holds, e.Hold)
	}
}

// change takes a state that the machine has decided.
func (i *instance) change(e event.Event) {
	if isConclusion(e.State) || e.State == event.Starting && i.told == event.Starting {
		return // one of ours
	}
	ran := i.told == event.Starting || i.told == event.StateStopping
	i.Stopped = e.State == event.Exited && i.told == event.StateStopping
	if e.State == event.Restarting && i.told != event.Restarting {
		i.Restarts++
	}
	i.told, i.State, i.Since, i.Message, i.RestartAt = e.State, e.State, e.Time, e.Message, e.At
	switch e.State {
	case event.StateStopping:
		return // it runs on
	case event.Starting:
		i.ReadyAfter, i.Code = 0, 0
		// What others start, as the engine does, may listen before they tell of it.
		return
	case event.Restarting, event.Exited, event.Failed:
		i.Code = e.Code
		if ran {
			i.ExitedAt = e.Time
		}
	}
	i.Started, i.PID, i.Ports, i.Serving = time.Time{}, 0, nil, false
	if i.Health != NoCheck {
		i.Health = Checking
	}
}

// sortedPorts returns a new slice, for statuses are handed out.
func sortedPorts(ports []uint16, port uint16) []uint16 {
	n, known := slices.BinarySearch(ports, port)
	if known {
		return ports
	}
	return slices.Insert(slices.Clone(ports), n, port)
}

// settle draws the conclusions from what is known at now.
func (i *instance) settle(now time.Time) (out []event.Event) {
	i.lacks = i.missing(now)
	i.Ready = i.runs() && i.lacks == nothing
	if s := i.state(); s != i.State {
		i.State, i.Since = s, now
		out = append(out, event.Event{Type: event.StateChanged, Time: now, Service: i.Service, Instance: i.Instance, State: s})
	}
	if i.Ready && i.ReadyAfter == 0 {
		i.ReadyAfter = max(1, now.Sub(i.Started)) // never 0, which means not yet
		out = append(out, event.Event{Type: event.Ready, Time: now, Service: i.Service, Instance: i.Instance, Elapsed: i.ReadyAfter})
	}
	return out
}

func (i *instance) runs() bool { return i.told == event.Starting && !i.Started.IsZero() }

func (i *instance) state() event.State {
	switch {
	case !i.runs():
		return i.told
	case i.Ready:
		return event.StateReady
	case len(i.Ports) > 0:
		return event.StateListening
	case len(i.holds) > 0:
		return event.StateWaiting
	}
	return event.Starting
}

// due tells when the instance will be ready if nothing happens any more.
func (i *instance) due() (at time.Time, ok bool) {
	at = i.calmSince.Add(i.quiet())
	return at, i.runs() && !i.Ready && i.missing(at) == nothing
}

func (i *instance) quiet() time.Duration {
	if i.sees && i.Exposes && len(i.Ports) == 0 {
		return quietServer
	}
	return quiet
}

func (i *instance) status() Status {
	s := i.Status
	s.WaitingOn = waits(i.holds)
	s.Missing = i.missingText(s.WaitingOn)
	return s
}
