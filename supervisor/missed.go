package supervisor

import (
	"slices"

	"upall/internal/event"
	"upall/supervisor/status"
)

// missed are the events that a life of the supervisor has died before telling, or
// before the board was saved that had them: what is the case by what the machine and
// the interceptor know, and not by what the board knew.
func missed(instances []*instance, was []status.Status, present []event.Event) (events []event.Event) {
	known := map[string]status.Status{}
	for _, s := range was {
		known[s.Instance] = s
	}
	for _, i := range instances {
		if isOlder(known[i.Name], i) {
			events = append(events, event.Event{Type: event.StateChanged, Service: i.service.Name, Instance: i.Name, State: event.Created})
			known[i.Name] = status.Status{State: event.Created}
		}
		if e, is := i.missedState(known[i.Name]); is {
			events = append(events, e)
		}
	}
	for _, e := range present {
		s, i := known[e.Instance], find(instances, e.Instance)
		isLate := e.Type == event.Listening && !slices.Contains(s.Ports, e.Port) || e.Type == event.Serving && !s.Serving
		if isLate && i != nil && i.isRunning() {
			events = append(events, e)
		}
	}
	for _, i := range instances {
		is := status.Health("")
		switch i.Health {
		case event.Healthy:
			is = status.Healthy
		case event.Unhealthy:
			is = status.Unhealthy
		}
		if i.isRunning() && is != "" && known[i.Name].Health != is {
			events = append(events, event.Event{Type: i.Health, Service: i.service.Name, Instance: i.Name})
		}
	}
	return events
}

// isOlder tells whether the board knew an earlier run of an instance that runs.
func isOlder(s status.Status, i *instance) bool {
	return i.isRunning() && !s.Started.IsZero() && s.Started.Before(i.Started)
}

func find(instances []*instance, name string) *instance {
	n := slices.IndexFunc(instances, func(i *instance) bool { return i.Name == name })
	if n < 0 {
		return nil
	}
	return instances[n]
}

// missedState is the instance's state, if the board had it in another.
func (i *instance) missedState(s status.Status) (e event.Event, is bool) {
	state := i.State
	if i.isRunning() && i.Stop == stopSent {
		state = event.StateStopping
	}
	runs := []event.State{event.Starting, event.StateWaiting, event.StateListening, event.StateReady}
	if s.State == state || state == event.Starting && slices.Contains(runs, s.State) {
		return e, false
	}
	return event.Event{Type: event.StateChanged, Service: i.service.Name, Instance: i.Name, State: state, Code: i.Code, At: i.StartAt}, true
}
