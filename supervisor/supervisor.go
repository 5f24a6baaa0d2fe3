package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"upall/compose"
	"upall/intercept"
	"upall/intercept/registry"
	"upall/intercept/serve"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/supervisor/forward"
	"upall/supervisor/process"
)

// Options are for Up.
type Options struct {
	State    *process.State
	Env      []string // of upall, inherited by the services
	Ending   Ending
	Grace    *time.Duration // overrides each service's stop_grace_period
	Bus      *event.Bus
	Logger   *slog.Logger
	Disabled linux.Disabled
	// Intercept is off to start the services without holding anything.
	Intercept   bool
	HoldTimeout time.Duration // of connects to published ports
}

// Control ends a project from outside.
type Control struct {
	Stop <-chan struct{} // gracefully
	Kill <-chan struct{}
}

// supervisor brings one project up.
type supervisor struct {
	Options
	ctx         context.Context // bounds the life of all that Up opens
	plan        *compose.Plan
	machine     *machine
	runtime     *process.Runtime
	interceptor *intercept.Interceptor // nil without interception
	forwarders  []*forward.Forwarder
	metadata    map[string]string // instance -> hand-over metadata
	programs    map[string]*process.Program
	inputs      chan any
	cannotPark  error // why, nil where connects can be parked
}

// Up starts the plan's services and returns the project's exit code when all
// have ended: that of Ending, else the first that is not 0. An error means that
// nothing was started.
func Up(ctx context.Context, plan *compose.Plan, o Options, control Control) (code int, err error) {
	s := &supervisor{
		Options: o, ctx: ctx, plan: plan, machine: newMachine(plan, o.Ending, o.Grace),
		metadata: map[string]string{}, programs: map[string]*process.Program{}, inputs: make(chan any),
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(); err != nil {
		return 0, err
	}
	s.run(control)
	return s.machine.code, nil
}

// open makes ready all that can fail before anything is started.
func (s *supervisor) open() error {
	for n := range s.plan.Services {
		if svc := &s.plan.Services[n]; svc.Runtime != compose.Process {
			return fmt.Errorf("service %q: the engine runtime is not part of this version yet; to run it as a process give it a command and set x-upall: {runtime: process}, or use --runtime process", svc.Name)
		}
	}
	var err error
	s.runtime, err = process.Open(process.Config{
		Plan: s.plan, State: s.State, Env: s.Env, Disabled: s.Disabled, Logger: s.Logger, Intercept: s.Intercept,
	})
	if err != nil {
		return err
	}
	for n := range s.plan.Services {
		if err := s.runtime.Check(&s.plan.Services[n]); err != nil {
			return err
		}
		if _, err := process.StopSignal(&s.plan.Services[n]); err != nil {
			return fmt.Errorf("service %q: stop_signal: %w", s.plan.Services[n].Name, err)
		}
	}
	if err := s.runtime.NoNames(); err != nil {
		s.warn("", fmt.Sprintf("services cannot see each other's names here: %v (`upall doctor` says what to do)", err))
	}
	if s.Intercept {
		if err := s.openInterceptor(); err != nil {
			return err
		}
	}
	return s.openForwarders()
}

func (s *supervisor) openInterceptor() (err error) {
	s.interceptor, err = intercept.Open(s.ctx, intercept.Options{
		Socket: s.State.Socket(), Emit: s.Bus.Emit, Logger: s.Logger, Disabled: s.Disabled, HoldTimeout: s.HoldTimeout,
	})
	if err != nil {
		return err
	}
	s.cannotPark = intercept.ParkingPermitted(s.Disabled)
	for n := range s.plan.Services {
		svc := &s.plan.Services[n]
		for _, i := range svc.Instances {
			s.metadata[i.Name] = s.interceptor.Add(s.interceptInstance(svc, i))
		}
	}
	return nil
}

// interceptInstance tells the interceptor of an instance. Early listeners serve
// where connects cannot be parked, and only for services that nothing but their
// listener is waited for.
func (s *supervisor) interceptInstance(svc *compose.Service, i compose.Instance) intercept.Instance {
	in := intercept.Instance{
		Instance: registry.Instance{
			Name: i.Name, Service: svc.Name, Addrs: []netip.Addr{i.Addr},
			HoldTimeout: svc.Settings.HoldTimeout,
			HoldSelf:    svc.Settings.Hold == compose.HoldLoopback,
			NoHold:      svc.Settings.Hold == compose.HoldNone,
		},
		Rewrite: true, Second: i.Addr2,
	}
	for _, g := range svc.Gates {
		if g.Kind == compose.GateConnect && g.Condition == compose.Completed {
			in.Jobs = append(in.Jobs, g.Service)
		}
	}
	in.OnDemand = func(port uint16) bool { return s.listensEarly(svc, port) }
	for _, p := range svc.Ports {
		if p.Protocol == "udp" {
			in.UDPPorts = append(in.UDPPorts, p.Number)
			continue
		}
		in.Ports = append(in.Ports, p.Number)
		if s.listensEarly(svc, p.Number) {
			in.Early = append(in.Early, p.Number)
		}
	}
	return in
}

func (s *supervisor) listensEarly(svc *compose.Service, port uint16) bool {
	return s.cannotPark != nil && !serve.MayListenEarly(svc.Command, port)
}

func (s *supervisor) warn(service, message string) {
	s.Bus.Emit(event.Event{Time: time.Now(), Type: event.Warning, Service: service, Message: message})
}

// run feeds the machine until no instance is left.
func (s *supervisor) run(control Control) {
	s.step(begin{})
	for !s.machine.isDone() {
		var due <-chan time.Time
		if at, ok := s.machine.next(); ok {
			due = time.After(time.Until(at))
		}
		select {
		case in := <-s.inputs:
			s.step(in)
		case <-due:
			s.step(tick{})
		case <-control.Stop:
			control.Stop = nil
			s.step(stop{})
		case <-control.Kill:
			control.Kill = nil
			s.step(kill{})
		}
	}
}

func (s *supervisor) step(in any) {
	var starts []*instance
	for _, out := range s.machine.step(time.Now(), in) {
		switch out := out.(type) {
		case changed:
			s.tellChange(out)
		case startProgram:
			starts = append(starts, out.instance)
		case stopProgram:
			s.stop(out.instance)
		case killProgram:
			s.answer(out.instance)
			s.logIf("kill", out.instance, s.programs[out.Name].Kill())
		}
	}
	s.startAll(starts)
}

// startAll starts instances at the same moment.
func (s *supervisor) startAll(starts []*instance) {
	programs := make([]*process.Program, len(starts))
	var wg sync.WaitGroup
	for n, i := range starts {
		wg.Go(func() { programs[n] = s.start(i) })
	}
	wg.Wait()
	for n, i := range starts {
		p := programs[n]
		s.programs[i.Name] = p
		go func() { s.inputs <- ended{i.Name, p.Wait()} }()
	}
}

func (s *supervisor) tellChange(c changed) {
	s.Bus.Emit(event.Event{
		Time: time.Now(), Type: event.StateChanged, Service: c.service.Name, Instance: c.Name,
		State: c.state, Code: c.code, Message: c.why,
	})
	isEnd := c.final || c.state == event.Restarting
	if isEnd && s.interceptor != nil {
		s.interceptor.Ended(c.Name, c.code, c.final)
	}
}

// start runs an instance's program. It returns nil for one that could not be
// started, which counts as ended.
func (s *supervisor) start(i *instance) *process.Program {
	if s.interceptor != nil {
		s.interceptor.Started(i.Name)
	}
	output := func(stream, line string) {
		s.Bus.EmitLog(event.Event{Time: time.Now(), Type: event.Log, Service: i.service.Name, Instance: i.Name, Stream: stream, Message: line})
	}
	p, err := s.runtime.Start(i.service, i.Instance, s.State.Socket(), s.metadata[i.Name], output)
	if err != nil {
		s.warn(i.service.Name, fmt.Sprintf("start %s: %v", i.Name, err))
		return nil
	}
	return p
}

// stop sends the stop signal. Calls that are kept are answered first: a handler
// of the program must not wait for them.
func (s *supervisor) stop(i *instance) {
	s.answer(i)
	sig, err := process.StopSignal(i.service)
	if err != nil {
		sig = syscall.SIGTERM
	}
	s.logIf("stop", i, s.programs[i.Name].Signal(sig))
}

func (s *supervisor) answer(i *instance) {
	if s.interceptor != nil {
		s.interceptor.Answer(i.Name)
	}
}

func (s *supervisor) logIf(what string, i *instance, err error) {
	if err != nil {
		s.Logger.Warn(what, "instance", i.Name, "error", err)
	}
}

func (s *supervisor) close() error {
	var errs []error
	for _, f := range s.forwarders {
		errs = append(errs, f.Close())
	}
	if s.interceptor != nil {
		errs = append(errs, s.interceptor.Close())
	}
	return errors.Join(errs...)
}
