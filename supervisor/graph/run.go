package graph

import (
	"cmp"
	"slices"
	"strings"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/record"
	"upall/supervisor/status"
)

// AtEnd returns the instances of a run as the events on record leave them, by
// service in the order of their names.
func AtEnd(run *record.Run) []status.Status {
	runtimes := map[string]compose.Runtime{}
	for _, s := range run.Plan.Services {
		runtimes[s.Name] = s.Runtime
	}
	all := map[string]*status.Status{}
	var names []string
	for _, e := range run.Events {
		if e.Instance == "" || !tells(e.Type) {
			continue
		}
		s := all[e.Instance]
		if s == nil {
			s = &status.Status{Service: e.Service, Instance: e.Instance, Runtime: runtimes[e.Service], State: event.Created}
			all[e.Instance] = s
			names = append(names, e.Instance)
		}
		follow(s, e)
	}
	var list []status.Status
	for _, name := range names {
		list = append(list, *all[name])
	}
	slices.SortStableFunc(list, func(a, b status.Status) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), cmp.Compare(len(a.Instance), len(b.Instance)), strings.Compare(a.Instance, b.Instance))
	})
	return list
}

// tells tells whether an event of this type is about the instance in it, and not
// about a connect of it.
func tells(t event.Type) bool {
	return slices.Contains([]event.Type{event.StateChanged, event.Started, event.Listening, event.Ready}, t)
}

// follow changes a status by an event. Where it listened, and when it was ready,
// stays over its end: that is what the run has shown.
func follow(s *status.Status, e event.Event) {
	switch e.Type {
	case event.Started:
		s.Started = e.Time
	case event.Listening:
		if !slices.Contains(s.Ports, e.Port) {
			s.Ports = append(s.Ports, e.Port)
		}
	case event.Ready:
		s.ReadyAfter = e.Elapsed
	case event.StateChanged:
		s.Stopped = e.State == event.Exited && s.State == event.StateStopping
		s.State, s.Since, s.Code, s.Message = e.State, e.Time, e.Code, e.Message
		if e.State == event.Exited {
			s.ExitedAt = e.Time
		}
	}
}
