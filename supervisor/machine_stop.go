package supervisor

import (
	"maps"
	"slices"
	"strings"
	"time"

	"upall/compose"
	"upall/internal/event"
)

// The inputs that stop and start. Services: none means all.
type (
	stop         struct{ grace *time.Duration } // all of the project, gracefully, for good
	kill         struct{}
	stopServices struct {
		services []string
		grace    *time.Duration // nil: each service's own
		kill     bool           // at once
	}
	startServices   struct{ services []string }
	restartServices struct {
		services []string
		grace    *time.Duration
		alone    bool // without those that restart with them (depends_on: restart)
	}
	// edge: a service has connected to another.
	edge struct{ client, server string }
)

type edges map[edge]bool

func (m *machine) stopServices(now time.Time, in stopServices) (out []any) {
	for _, i := range m.of(in.services) {
		i.Wanted = false
		out = append(out, m.stopOne(now, i, in.grace)...)
		if in.kill && i.isRunning() {
			i.Stop = stopSent
			out = append(out, killProgram{i})
		}
	}
	return out
}

// stopOne has an instance end: when its clients have, if it runs.
func (m *machine) stopOne(now time.Time, i *instance, grace *time.Duration) []any {
	i.Again = false
	switch {
	case i.isRunning():
		if i.Stop == notStopping {
			i.Stop, i.Grace = stopDue, grace
		}
		return nil
	case i.hasEnded():
		return nil
	case i.State == event.Restarting && i.service.Runtime == compose.Engine:
		if i.Stop == stopSent {
			return nil
		}
		i.Stop = stopSent // the engine would start it; its end is told when it does not any more
		return []any{stopProgram{i}}
	}
	return m.giveUp(now, i)
}

func (m *machine) startServices(in startServices) (out []any) {
	for _, i := range m.of(in.services) {
		out = append(out, m.want(i)...)
	}
	return out
}

// want has an instance run that does not, or not for long any more.
func (m *machine) want(i *instance) []any {
	i.Wanted, i.Removed = true, false
	switch {
	case i.isRunning() && i.Stop != notStopping:
		i.Again = true
	case i.hasEnded():
		i.take()
		i.Code, i.Restarts = 0, 0
		return []any{m.change(i, event.Created, "")}
	case i.State == event.Restarting && !i.OverAt.IsZero(): // nobody else is to start it
		i.OverAt = time.Time{}
		return []any{m.change(i, event.Created, "")}
	}
	return nil
}

func (m *machine) restartServices(now time.Time, in restartServices) (out []any) {
	services := in.services
	if !in.alone && len(services) > 0 {
		services = m.withDependents(services)
	}
	for _, i := range m.of(services) {
		if i.isRunning() {
			out = append(out, m.stopOne(now, i, in.grace)...)
			i.Wanted, i.Again = true, true
			continue
		}
		i.Wanted, i.Again = true, true // with the others
	}
	return out
}

// withDependents adds the services that are to restart when one of these does
// (depends_on: restart: true).
func (m *machine) withDependents(services []string) []string {
	all := slices.Clone(services)
	for n := 0; n < len(all); n++ {
		for _, i := range m.instances {
			for _, g := range i.service.Gates {
				if g.Restart && g.Service == all[n] && !slices.Contains(all, i.service.Name) {
					all = append(all, i.service.Name)
				}
			}
		}
	}
	return all
}

func (m *machine) stop(now time.Time, in stop) (out []any) {
	if m.stopping {
		return nil
	}
	m.stopping = true
	for _, i := range m.instances {
		out = append(out, m.stopOne(now, i, in.grace)...)
	}
	return out
}

func (m *machine) kill(now time.Time) (out []any) {
	m.stopping = true
	for _, i := range m.instances {
		out = append(out, m.stopOne(now, i, nil)...)
		if i.isRunning() {
			i.Stop, i.KillAt = stopSent, time.Time{}
			out = append(out, killProgram{i})
		}
	}
	return out
}

// stopDue sends the stop signal along the edges: clients before their servers, all
// at once that do not wait for each other. Where they go round in a circle, all
// that are left get it.
func (m *machine) stopDue(now time.Time) (out []any) {
	var due, sent []*instance
	for _, i := range m.instances {
		switch {
		case !i.isRunning():
		case i.Stop == stopDue:
			due = append(due, i)
		case i.Stop == stopSent:
			sent = append(sent, i)
		}
	}
	if len(due) == 0 {
		return nil
	}
	clients := m.clients()
	free := slices.DeleteFunc(slices.Clone(due), func(i *instance) bool {
		return slices.ContainsFunc(slices.Concat(due, sent), func(c *instance) bool {
			return c.service.Name != i.service.Name && clients[edge{c.service.Name, i.service.Name}]
		})
	})
	if len(free) == 0 && len(sent) == 0 {
		free = due
	}
	for _, i := range free {
		i.Stop = stopSent
		if i.service.Runtime != compose.Engine { // the engine kills by itself
			i.KillAt = now.Add(m.graceOf(i))
		}
		out = append(out, stopProgram{i})
	}
	return out
}

// graceOf is how long the instance may take to end.
func (m *machine) graceOf(i *instance) time.Duration {
	switch {
	case i.Grace != nil:
		return *i.Grace
	case m.grace != nil:
		return *m.grace
	}
	return i.service.StopGrace
}

// clients are the edges by which services stop: the observed, and the declared
// that are not against them.
func (m *machine) clients() edges {
	all := maps.Clone(m.edges)
	for _, i := range m.instances {
		client := i.service
		for _, server := range declared(client) {
			if !m.edges[edge{server, client.Name}] {
				all[edge{client.Name, server}] = true
			}
		}
	}
	return all
}

// declared are the services that the file says another one needs.
func declared(s *compose.Service) (servers []string) {
	for _, g := range s.Gates {
		servers = append(servers, g.Service)
	}
	for _, server := range s.LinkNames {
		servers = append(servers, server)
	}
	if server, ok := strings.CutPrefix(s.Namespace, "service:"); ok {
		servers = append(servers, server)
	}
	return servers
}

func (m *machine) killDue(now time.Time) (out []any) {
	for _, i := range m.instances {
		if i.isRunning() && !i.KillAt.IsZero() && !i.KillAt.After(now) {
			i.KillAt = time.Time{}
			out = append(out, killProgram{i})
		}
	}
	return out
}
