package timeline

import (
	"time"

	"upall/compose"
	"upall/internal/event"
)

// resolve finds out for whom each connect of a run was held, and what released it.
func (t *Timeline) resolve(client *Instance, run *Run) {
	for _, h := range run.Holds {
		if h.End == event.Released {
			h.By = t.release(client, h)
		}
		server := t.only(h.Target)
		if h.By != nil && h.By.of.Service == h.Target {
			server = h.By.of
		}
		if server == nil || len(server.Runs) == 0 {
			continue
		}
		h.Server = server.Name
		held := server.runAt(h)
		held.Held = append(held.Held, Held{client.Name, h.Port, h.From, h.To, h.End})
	}
}

// only returns the instance of a service that has one.
func (t *Timeline) only(service string) (only *Instance) {
	for _, i := range t.Instances {
		if i.Service != service {
			continue
		}
		if only != nil {
			return nil
		}
		only = i
	}
	return only
}

// runAt is the run of a server in which a hold ended, or to which it still waits.
func (i *Instance) runAt(h *Hold) *Run {
	run := i.Runs[0]
	for _, r := range i.Runs[1:] {
		if h.To == nil || r.known <= *h.To {
			run = r
		}
	}
	return run
}

// release finds what released a hold: the last that happened during it, of all that
// it may have waited for. Events do not name it, but a release follows it at once.
func (t *Timeline) release(client *Instance, h *Hold) (by *Release) {
	jobs := t.jobsOf(client.Service)
	for _, i := range t.Instances {
		if i.Service != h.Target && !jobs[i.Service] {
			continue
		}
		for _, run := range i.Runs {
			for _, m := range run.moments() {
				opens := i.Service == h.Target && (m.name == Serve || m.name == Healthy || m.name == Listen && run.listensOn(h.Port, m.at))
				opens = opens || jobs[i.Service] && m.name == Exit && run.completed()
				if opens && m.at > h.From && m.at <= *h.To && (by == nil || m.at >= by.At) {
					by = &Release{i.Name, m.name, m.at, run, i}
				}
			}
		}
	}
	return by
}

// jobsOf are the services whose completion the connects of a service wait for.
func (t *Timeline) jobsOf(service string) map[string]bool {
	jobs := map[string]bool{}
	for _, g := range t.gatesOf(service) {
		if g.Kind == compose.GateConnect && g.Condition == compose.Completed {
			jobs[g.Service] = true
		}
	}
	return jobs
}

func (t *Timeline) gatesOf(service string) []compose.Gate {
	for _, s := range t.plan.Services {
		if s.Name == service {
			return s.Gates
		}
	}
	return nil
}

func (r *Run) listensOn(port uint16, at time.Duration) bool {
	for _, l := range r.Listening {
		if l.Port == port && l.At == at {
			return true
		}
	}
	return false
}

// moment is a Moment and when it came.
type moment struct {
	name Moment
	at   time.Duration
}

// moments are those of a run that have come, in the order of a life.
func (r *Run) moments() []moment {
	var all []moment
	add := func(name Moment, at *time.Duration) {
		if at != nil {
			all = append(all, moment{name, *at})
		}
	}
	add(Start, r.Started)
	for _, l := range r.Listening {
		add(Listen, &l.At)
	}
	add(Serve, r.Serving)
	add(Healthy, r.Healthy)
	add(Ready, r.Ready)
	add(Exit, r.Ended)
	return all
}
