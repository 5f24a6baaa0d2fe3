package supervisor

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/process"
)

// processes is the runner of the process runtime.
type processes struct {
	*supervisor
	runtime  *process.Runtime
	programs map[string]*process.Program
	waits    sync.WaitGroup
}

// openProcesses finds what would keep a process from starting, before any is.
func openProcesses(s *supervisor) (*processes, error) {
	runtime, err := process.Open(process.Config{
		Plan: s.plan, State: s.State, Env: s.Env, Disabled: s.Disabled, Logger: s.Logger, Intercept: s.Intercept,
	})
	if err != nil {
		return nil, err
	}
	p := &processes{supervisor: s, runtime: runtime, programs: map[string]*process.Program{}}
	hasProcesses := false
	for n := range s.plan.Services {
		svc := &s.plan.Services[n]
		if svc.Runtime != compose.Process {
			continue
		}
		hasProcesses = true
		if err := runtime.Check(svc); err != nil {
			return nil, err
		}
		if _, err := process.StopSignal(svc); err != nil {
			return nil, fmt.Errorf("service %q: stop_signal: %w", svc.Name, err)
		}
	}
	if err := runtime.NoNames(); hasProcesses && err != nil {
		s.warn("", fmt.Sprintf("services cannot see each other's names here: %v (`upall doctor` says what to do)", err))
	}
	return p, nil
}

func (p *processes) start(all []*instance) {
	programs := make([]*process.Program, len(all))
	var wg sync.WaitGroup
	for n, i := range all {
		wg.Go(func() { programs[n] = p.startOne(i) })
	}
	wg.Wait()
	for n, i := range all {
		program := programs[n]
		p.programs[i.Name] = program
		if program != nil {
			p.tellRuns(i)
		}
		p.waits.Go(func() { p.give(ended{instance: i.Name, code: program.Wait()}) })
	}
}

// startOne returns nil for a program that could not be started, which counts as
// ended.
func (p *processes) startOne(i *instance) *process.Program {
	output := func(stream, line string) {
		p.Bus.EmitLog(event.Event{Time: time.Now(), Type: event.Log, Service: i.service.Name, Instance: i.Name, Stream: stream, Message: line})
	}
	program, err := p.runtime.Start(i.service, i.Instance, p.State.Socket(), p.metadata[i.Name], output)
	if err != nil {
		p.warn(i.service.Name, fmt.Sprintf("start %s: %v", i.Name, err))
		return nil
	}
	return program
}

func (p *processes) stop(all []*instance) {
	for _, i := range all {
		sig, err := process.StopSignal(i.service)
		if err != nil {
			sig = syscall.SIGTERM
		}
		p.logIf("stop", i, p.programs[i.Name].Signal(sig))
	}
}

func (p *processes) kill(i *instance) { p.logIf("kill", i, p.programs[i.Name].Kill()) }

func (p *processes) finish() {}

func (p *processes) close() { p.waits.Wait() }
