package supervisor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"upall/compose"
	"upall/intercept/registry"
	"upall/internal/event"
	"upall/supervisor/engine"
	"upall/supervisor/health"
	"upall/supervisor/process"
	"upall/supervisor/status"
)

// prober runs the healthcheck of one run of an instance.
type prober struct {
	cancel context.CancelFunc
	wake   chan struct{} // capacity 1: it listens
}

// findChecks finds which instances of the plan have a healthcheck: of the file, or
// of the image of a container.
func (s *supervisor) findChecks() map[string]bool {
	s.checks = map[string]*compose.Healthcheck{}
	for _, d := range definitions(s.plan) {
		check, err := s.checkOf(d)
		if err != nil {
			s.warn(d.service.Name, fmt.Sprintf("its healthcheck is not waited for: %v", err))
		}
		if check != nil {
			s.checks[d.Name] = check
			s.board.change(func(t *status.Tracker) { t.HasCheck(d.Name) })
		}
	}
	return s.checked()
}

func (s *supervisor) checked() map[string]bool {
	checked := map[string]bool{}
	for name := range s.checks {
		checked[name] = true
	}
	return checked
}

func (s *supervisor) checkOf(d definition) (*compose.Healthcheck, error) {
	c := s.containers()
	if d.service.Runtime != compose.Engine || c == nil {
		return d.service.Health, nil
	}
	return c.runtime.Healthcheck(s.ctx, d.Name)
}

// beginProbes begins the healthcheck of a run. For a container it ends with the
// first success: the engine's own goes on.
func (s *supervisor) beginProbes(i *instance) {
	s.endProbes(i)
	check := s.checks[i.Name]
	if check == nil {
		return
	}
	probe := s.probe(i, check)
	started := i.Started
	options := health.Options{
		Config: *check, Started: started, UntilHealthy: i.service.Runtime == compose.Engine, AwaitWake: s.willListen(i),
	}
	if i.Health != "" { // of an earlier life
		options.Last = health.Status{Health: health.State(i.Health), At: time.Now()}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	p := &prober{cancel: cancel, wake: make(chan struct{}, 1)}
	s.probers[i.Name] = p
	name := i.Name
	s.work.Go(func() {
		health.Run(ctx, health.New(options), probe, p.wake, func(st health.Status) {
			s.give(func() { s.probed(name, started, st) })
		})
	})
}

// willListen tells whether the instance has ports that it does not listen on yet,
// and whether that will be seen.
func (s *supervisor) willListen(i *instance) (will bool) {
	hasPort := slices.ContainsFunc(i.service.Ports, func(p compose.Port) bool { return p.Protocol == "tcp" })
	if !hasPort || s.interceptor == nil {
		return false
	}
	s.board.change(func(t *status.Tracker) { will = !t.Listens(i.Name) })
	return will
}

// probe is how the instance is asked.
func (s *supervisor) probe(i *instance, check *compose.Healthcheck) health.Probe {
	if i.service.Runtime == compose.Process {
		runtime := s.processes().runtime
		launch := process.Launch{Service: i.service, Instance: i.Instance, Socket: s.state.Socket(), Metadata: s.metadata[i.Name]}
		return func(ctx context.Context) health.Result { return runtime.Probe(ctx, launch, *check) }
	}
	runtime, name := s.containers().runtime, i.Name
	return func(ctx context.Context) health.Result { return runtime.Probe(ctx, name, *check) }
}

// endProbes ends the healthcheck of a run that has ended. It does not wait for it.
func (s *supervisor) endProbes(i *instance) {
	if p := s.probers[i.Name]; p != nil {
		p.cancel()
		delete(s.probers, i.Name)
	}
}

// probed takes the result of a probe of the run that began at started.
func (s *supervisor) probed(name string, started time.Time, st health.Status) {
	i := s.machine.find(name)
	if i == nil || !i.isRunning() || !i.Started.Equal(started) {
		return
	}
	if last, ok := st.Last(); ok {
		s.board.change(func(t *status.Tracker) {
			t.Probed(name, status.Probe{At: last.Began.Add(last.Elapsed), Code: last.Code, Output: last.Output, Elapsed: last.Elapsed})
		})
	}
	switch st.Health {
	case health.Healthy:
		s.tellHealth(i, event.Healthy, "")
	case health.Unhealthy:
		last, _ := st.Last()
		s.tellHealth(i, event.Unhealthy, last.Output)
	case health.Starting:
	}
}

// engineHealth takes what the engine's own healthcheck says.
func (s *supervisor) engineHealth(said engine.Health) {
	i := s.machine.find(said.Instance)
	switch {
	case i == nil || !i.isRunning() || said.At.Before(i.Started): // of a run before
	case said.Healthy:
		s.tellHealth(i, event.Healthy, "")
		s.endProbes(i) // it has no need of ours
	default:
		s.tellHealth(i, event.Unhealthy, "")
	}
}

// tellHealth tells a change.
func (s *supervisor) tellHealth(i *instance, is event.Type, output string) {
	if i.Health == is {
		return
	}
	s.emit(event.Event{Type: is, Service: i.service.Name, Instance: i.Name, Message: output})
	if s.interceptor != nil {
		state := registry.Healthy
		if is == event.Unhealthy {
			state = registry.Unhealthy
		}
		s.interceptor.Health(i.Name, state)
	}
	s.step(healthSays{i.Name, is})
}

// wakeProbes has the healthcheck of an instance that listens now be asked at once.
func (s *supervisor) wakeProbes(instance string) {
	if p := s.probers[instance]; p != nil {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}
