package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"upall/compose"
	"upall/intercept"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/supervisor/engine"
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

	// For services of the engine runtime; Engine is nil if there are none.
	Engine  *engine.Engine
	Project *types.Project // as it was loaded
	// EnvFiles are those of the command line.
	EnvFiles []string
	Create   engine.CreateOptions
	// NoStart ends Up when the containers have been created.
	NoStart bool
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
	runners     map[compose.Runtime]runner
	interceptor *intercept.Interceptor // nil without interception
	forwarders  []*forward.Forwarder
	meeting     meeting
	metadata    map[string]string // instance -> hand-over metadata
	inputs      chan any
	over        chan struct{} // closed when nobody takes inputs any more
	cannotPark  error         // why, nil where connects can be parked
	failed      error         // what kept the project from coming up
}

// runner starts and ends the programs of one runtime. What becomes of them it
// gives to the machine as inputs. Its methods return at once, and are called by
// one goroutine.
type runner interface {
	// start starts instances at the same moment.
	start(all []*instance)
	// stop asks instances to end.
	stop(all []*instance)
	kill(i *instance)
	// finish waits until what was asked of it is done.
	finish()
	// close waits until nothing of the runner goes on, when the context is over.
	close()
}

// Up starts the plan's services and returns the project's exit code when all
// have ended: that of Ending, else the first that is not 0. An error means that
// the project did not come up, and that nothing of it runs.
func Up(ctx context.Context, plan *compose.Plan, o Options, control Control) (code int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &supervisor{
		Options: o, ctx: ctx, plan: plan, machine: newMachine(plan, o.Ending, o.Grace),
		metadata: map[string]string{}, runners: map[compose.Runtime]runner{}, inputs: make(chan any), over: make(chan struct{}),
	}
	defer func() { err = errors.Join(err, s.close(cancel)) }()
	if err := s.open(control); err != nil {
		if isClosed(control.Stop) { // what was under way was broken off
			return 0, nil
		}
		return 0, err
	}
	if o.NoStart {
		return 0, nil
	}
	s.run(control)
	return s.machine.code, s.failed
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// open makes ready all that can fail before anything is started.
func (s *supervisor) open(control Control) error {
	processes, err := openProcesses(s)
	if err != nil {
		return err
	}
	s.runners[compose.Process] = processes
	if s.Intercept {
		if err := s.openInterceptor(); err != nil {
			return err
		}
	}
	if s.Engine != nil {
		containers, err := openContainers(s, control.Stop)
		if err != nil {
			return err
		}
		s.runners[compose.Engine] = containers
	}
	if s.NoStart {
		return nil
	}
	if err := s.openMeeting(s.ctx); err != nil {
		return err
	}
	s.introduce()
	return s.openForwarders()
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
			s.input(in)
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

// The inputs after which the project does not come up.
type (
	// notStarted: an instance could not be started.
	notStarted struct {
		ended
		err error
	}
	// cannotStart: something else keeps it from starting.
	cannotStart struct{ err error }
)

func (s *supervisor) input(in any) {
	switch in := in.(type) {
	case notStarted:
		s.step(in.ended)
		s.fail(in.err)
	case cannotStart:
		s.fail(in.err)
	default:
		s.step(in)
	}
}

// fail ends a project that does not come up. The first error counts.
func (s *supervisor) fail(err error) {
	if s.failed == nil && !s.machine.stopping {
		s.failed = err
	}
	s.step(stop{})
}

// give hands an input over from another goroutine.
func (s *supervisor) give(in any) {
	select {
	case s.inputs <- in:
	case <-s.over:
	}
}

func (s *supervisor) step(in any) {
	starts, stops := map[compose.Runtime][]*instance{}, map[compose.Runtime][]*instance{}
	for _, out := range s.machine.step(time.Now(), in) {
		switch out := out.(type) {
		case changed:
			s.tellChange(out)
		case startProgram:
			starts[out.service.Runtime] = append(starts[out.service.Runtime], out.instance)
		case stopProgram:
			// A handler of the program must not wait for calls that are kept.
			s.answer(out.instance)
			stops[out.service.Runtime] = append(stops[out.service.Runtime], out.instance)
		case killProgram:
			s.answer(out.instance)
			s.runners[out.service.Runtime].kill(out.instance)
		}
	}
	for runtime, all := range stops {
		s.runners[runtime].stop(all)
	}
	for runtime, all := range starts {
		for _, i := range all {
			s.tellStarted(i)
		}
		s.runners[runtime].start(all)
	}
}

func (s *supervisor) tellStarted(i *instance) {
	if s.interceptor != nil {
		s.interceptor.Started(i.Name)
	}
}

func (s *supervisor) tellChange(c changed) {
	s.Bus.Emit(event.Event{
		Time: time.Now(), Type: event.StateChanged, Service: c.service.Name, Instance: c.Name,
		State: c.state, Code: c.code, Message: c.why,
	})
	if c.begun {
		s.tellRuns(c.instance)
	}
	switch {
	case s.interceptor == nil:
	case c.begun:
		s.interceptor.Began(c.Name)
	case c.final || c.state == event.Restarting:
		s.interceptor.Ended(c.Name, c.code, c.final)
	}
}

func (s *supervisor) tellRuns(i *instance) {
	s.Bus.Emit(event.Event{Time: time.Now(), Type: event.Started, Service: i.service.Name, Instance: i.Name})
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

// close ends what open has begun.
func (s *supervisor) close(cancel func()) error {
	close(s.over)
	var errs []error
	for _, f := range s.forwarders {
		errs = append(errs, f.Close())
	}
	for _, r := range s.runners {
		r.finish()
	}
	cancel()
	for _, r := range s.runners {
		r.close()
	}
	if s.interceptor != nil {
		errs = append(errs, s.interceptor.Close())
	}
	return errors.Join(append(errs, s.meeting.close())...)
}
