package supervisor

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"upall/compose"
	"upall/internal/event"
)

// apply reconciles the project with another plan of it.
type apply struct {
	plan *compose.Plan
	// services are those that are to run, with their dependencies.
	services []string
	// anew are the services that were made anew: who depends on them with restart:
	// true restarts too, as they themselves do if they are processes.
	anew []string
	// checked are the instances that have a healthcheck.
	checked map[string]bool
	// ending and grace replace those before.
	ending Ending
	grace  *time.Duration
}

func (m *machine) apply(now time.Time, in apply) (out []any) {
	m.ending, m.grace = in.ending, in.grace
	m.stopping, m.code, m.hasCode = false, 0, false
	planned := map[string]bool{}
	anew := slices.Clone(in.anew)
	for _, d := range definitions(in.plan) {
		planned[d.Name] = true
		i := m.find(d.Name)
		if i == nil {
			i = newInstance(d)
			i.Wanted = false
			m.instances = append(m.instances, i)
			out = append(out, m.change(i, event.Created, ""))
		}
		if m.redefine(i, d) && !slices.Contains(anew, d.service.Name) {
			anew = append(anew, d.service.Name)
		}
	}
	m.check(in.checked)
	for _, i := range m.instances {
		if !planned[i.Name] {
			i.Wanted, i.Removed = false, true
			out = append(out, m.stopOne(now, i, nil)...)
		}
	}
	for _, i := range m.of(in.services) {
		if planned[i.Name] && len(in.services) > 0 {
			out = append(out, m.want(i)...)
		}
	}
	return append(out, m.restartAnew(now, anew)...)
}

// check tells which instances have a healthcheck.
func (m *machine) check(checked map[string]bool) {
	for _, i := range m.instances {
		i.HasCheck = checked[i.Name]
	}
}

// redefine gives the instance its new definition, and tells whether it must be
// restarted for it. What runs as a process keeps the old one until it has ended.
func (m *machine) redefine(i *instance, d definition) (restarts bool) {
	isProcess := d.service.Runtime == compose.Process
	if isProcess && i.isRunning() && !sameProgram(i.service, d.service) {
		i.next = &d
		return true
	}
	i.Instance, i.service, i.next = d.Instance, d.service, nil
	return false
}

// sameProgram tells whether a process would run just the same.
func sameProgram(a, b *compose.Service) bool {
	type program struct {
		runtime             compose.Runtime
		command, env, extra []string
		dir, user           string
		allowIOURing        bool
		links               map[string]string
	}
	of := func(s *compose.Service) program {
		return program{
			runtime: s.Runtime, command: s.Command, env: s.Env, extra: s.ExtraHosts,
			dir: s.Dir, user: s.User, allowIOURing: s.Settings.AllowIOURing, links: s.LinkNames,
		}
	}
	return reflect.DeepEqual(of(a), of(b))
}

// restartAnew restarts processes that are anew, and who asked to be restarted
// with them.
func (m *machine) restartAnew(now time.Time, anew []string) (out []any) {
	if len(anew) == 0 {
		return nil
	}
	var services []string
	for _, name := range m.withDependents(anew) {
		for _, i := range m.of([]string{name}) {
			isOwn := slices.Contains(anew, name) && i.service.Runtime == compose.Engine // has been made anew already
			if i.isRunning() && !isOwn && !i.Removed && !slices.Contains(services, name) {
				services = append(services, name)
			}
		}
	}
	if len(services) == 0 {
		return nil
	}
	return m.restartServices(now, restartServices{services: services, alone: true})
}

// removeOver forgets what the plan does not have, once it has ended.
func (m *machine) removeOver() (out []any) {
	m.instances = slices.DeleteFunc(m.instances, func(i *instance) bool {
		if !i.Removed || !i.isOver() {
			return false
		}
		out = append(out, removed{i})
		return true
	})
	return out
}

// The machine outlives its process as what save returns.
type savedMachine struct {
	Instances []savedInstance `json:"instances"`
	Edges     [][2]string     `json:"edges,omitempty"`
	Stopping  bool            `json:"stopping,omitempty"`
	Code      int             `json:"code,omitempty"`
	HasCode   bool            `json:"has_code,omitempty"`
}

type savedInstance struct {
	Name string `json:"name"`
	life
}

func (m *machine) save() ([]byte, error) {
	s := savedMachine{Stopping: m.stopping, Code: m.code, HasCode: m.hasCode}
	for _, i := range m.instances {
		s.Instances = append(s.Instances, savedInstance{i.Name, i.life})
	}
	for e := range m.edges {
		s.Edges = append(s.Edges, [2]string{e.client, e.server})
	}
	return json.Marshal(s)
}

// restore makes the machine of a plan what save has seen.
func (m *machine) restore(data []byte) error {
	var s savedMachine
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("read the project's state: %w", err)
	}
	m.stopping, m.code, m.hasCode = s.Stopping, s.Code, s.HasCode
	for _, saved := range s.Instances {
		if i := m.find(saved.Name); i != nil {
			i.life = saved.life
		}
	}
	for _, e := range s.Edges {
		m.edges[edge{e[0], e[1]}] = true
	}
	return nil
}

// resume goes on after restore, with what is found of the instances that ran.
type resume struct {
	// runs are the instances whose programs are there. Others that should be have
	// ended, as is told afterwards, or, if absent says so, were never started.
	runs, absent map[string]bool
}

func (m *machine) resume(now time.Time, in resume) (out []any) {
	for _, i := range m.instances {
		switch {
		case i.State == event.Restarting && i.Stop == stopSent:
			out = append(out, stopProgram{i}) // the call for it died with the supervisor
		case !i.isRunning():
		case in.absent[i.Name] && i.Stop == notStopping && !m.stopping:
			out = append(out, m.start(now, i)...)
		case in.absent[i.Name]:
			out = append(out, m.end(now, ended{instance: i.Name, then: over})...)
		case i.Stop == stopSent && in.runs[i.Name]:
			out = append(out, stopProgram{i}) // as above, or it died before it sent a signal
		}
	}
	return out
}
