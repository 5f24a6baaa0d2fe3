package main

import (
	"maps"

	"upall/compose"
	"upall/internal/event"
)

// warnMentions says of a service that has failed which others it names and cannot
// reach, once: no connect shows that, for the name does not resolve.
func (f *follower) warnMentions(e event.Event) {
	hasFailed := e.Type == event.StateChanged && (e.State == event.Exited || e.State == event.Restarting) && e.Code != 0
	if !hasFailed || !f.shown[e.Service] || f.wasChecked[e.Service] || f.stop.was() {
		return
	}
	f.wasChecked[e.Service] = true
	all := maps.Clone(f.project.Services)
	maps.Copy(all, f.project.DisabledServices)
	planned := map[string]compose.Runtime{}
	for _, s := range f.plan.Services {
		planned[s.Name] = s.Runtime
	}
	runs := func(service string) bool { return planned[service] != "" }
	isProcess := func(service string) bool { return planned[service] == compose.Process }
	for _, m := range compose.Mentions(all, runs, isProcess) {
		if m.Client == e.Service {
			f.show(event.Event{Time: e.Time, Type: event.Warning, Service: e.Service, Message: m.String()})
		}
	}
}
