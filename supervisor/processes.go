package supervisor

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"upall/compose"
	"upall/intercept/shim"
	"upall/internal/event"
	"upall/supervisor/process"
)

// processes is the runner of the process runtime.
type processes struct {
	*supervisor
	runtime  *process.Runtime
	programs map[string]*process.Program // by instance, until their end is on record
	waits    sync.WaitGroup
}

// processUser is whom an agent runs processes as, nil where it is no agent.
func (s *supervisor) processUser() *shim.User {
	if s.Agent == nil || s.spec.As == nil {
		return nil
	}
	return &shim.User{UID: s.spec.As.UID, GID: s.spec.As.GID, Groups: s.spec.As.Groups}
}

// openProcesses finds what would keep a process from starting, before any is. It
// is done anew for each plan.
func (s *supervisor) openProcesses() error {
	runtime, err := process.Open(process.Config{
		Plan: s.plan, State: s.state, Env: s.spec.Env, Disabled: s.disabled(), Logger: s.Logger,
		Intercept: s.spec.Intercept, Keep: s.Keep, As: s.processUser(),
	})
	if err != nil {
		return err
	}
	hasProcesses := false
	for n := range s.plan.Services {
		svc := &s.plan.Services[n]
		if svc.Runtime != compose.Process {
			continue
		}
		hasProcesses = true
		if err := runtime.Check(svc); err != nil {
			return err
		}
		if _, err := process.StopSignal(svc); err != nil {
			return fmt.Errorf("service %q: stop_signal: %w", svc.Name, err)
		}
	}
	if p := s.processes(); p != nil {
		p.runtime = runtime
		return nil
	}
	if err := runtime.NoNames(); hasProcesses && err != nil {
		s.warn("", fmt.Sprintf("services cannot see each other's names here: %v (`upall doctor` says what to do)", err))
	}
	s.runners[compose.Process] = &processes{supervisor: s, runtime: runtime, programs: map[string]*process.Program{}}
	return nil
}

func (s *supervisor) processes() *processes {
	p, _ := s.runners[compose.Process].(*processes)
	return p
}

func (p *processes) start(all []*instance) {
	programs := make([]*process.Program, len(all))
	var wg sync.WaitGroup
	for n, i := range all {
		wg.Go(func() { programs[n] = p.startOne(i) })
	}
	wg.Wait()
	for n, i := range all {
		p.follow(i, programs[n])
	}
}

// follow waits for the end of a program; nil is one that could not be started,
// which counts as ended.
func (p *processes) follow(i *instance, program *process.Program) {
	name := i.Name
	p.programs[name] = program
	if program != nil {
		p.ran(i, program.PID(), "")
	}
	p.waits.Go(func() { p.give(ended{instance: name, code: program.Wait()}) })
}

func (p *processes) startOne(i *instance) *process.Program {
	program, err := p.runtime.Start(process.Launch{
		Service: i.service, Instance: i.Instance, Socket: p.state.Socket(), Metadata: p.metadata[i.Name],
		Output: p.output(i.service.Name, i.Name), Run: int(i.Started.UnixNano()),
	})
	if err != nil {
		p.warn(i.service.Name, fmt.Sprintf("start %s: %v", i.Name, err))
		return nil
	}
	return program
}

func (p *processes) output(service, instance string) process.Output {
	return func(stream, line string) {
		p.bus.EmitLog(event.Event{Time: time.Now(), Type: event.Log, Service: service, Instance: instance, Stream: stream, Message: line})
	}
}

// adopt goes on with the programs that an earlier life has started, and tells
// which instances have one.
func (p *processes) adopt(all []Kept) map[string]bool {
	runs := map[string]bool{}
	for _, k := range all {
		if !strings.HasPrefix(k.Name, process.ProgramEntry) {
			continue
		}
		id, err := process.IdentityOf(process.Kept(k))
		if err == nil {
			err = p.adoptOne(k, id, runs)
		}
		if err != nil {
			p.warn(id.Service, fmt.Sprintf("go on with %s after a crash of upall: %v", strings.TrimPrefix(k.Name, process.ProgramEntry), err))
		}
	}
	return runs
}

func (p *processes) adoptOne(k Kept, id process.Identity, runs map[string]bool) error {
	program, began, err := p.runtime.Adopt(process.Kept(k), p.output(id.Service, id.Instance))
	if err != nil || !began {
		return err
	}
	i := p.machine.find(id.Instance)
	if i == nil || !i.isRunning() { // its end was on record already
		return program.Close()
	}
	runs[i.Name] = true
	p.follow(i, program)
	return nil
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

func (p *processes) signal(i *instance, sig syscall.Signal) (sent func() error) {
	var err error
	if program := p.programs[i.Name]; program != nil {
		err = program.Signal(sig)
	}
	if err != nil {
		err = fmt.Errorf("send signal %d (%s) to %s: %w", int(sig), sig, i.Name, err)
	}
	return func() error { return err }
}

func (p *processes) forget(i *instance) {
	if program := p.programs[i.Name]; program != nil {
		p.logIf("forget a run", i, program.Close())
	}
	delete(p.programs, i.Name)
}

func (p *processes) finish() {}

func (p *processes) close() { p.waits.Wait() }
