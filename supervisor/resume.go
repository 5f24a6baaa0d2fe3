package supervisor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"upall/compose"
	"upall/intercept"
	"upall/internal/event"
	"upall/supervisor/process"
)

// resume goes on with the project of an earlier life, which has died: first with
// the calls that wait, for nobody answers them.
func (s *supervisor) resume() error {
	began := time.Now()
	saved, err := s.loadState()
	if err != nil {
		return err
	}
	spec, err := s.loadSpec()
	if spec == nil || err != nil {
		return err
	}
	s.spec, s.plan, s.isUnsaved = spec, spec.Plan, saved.Machine == nil
	s.machine = newMachine(s.plan, spec.Ending, spec.Grace)
	if err := s.restoreState(saved); err != nil {
		return err
	}
	s.openRecord()
	was, present, err := s.board.resume(s.plan, spec.Intercept, s.resumeInterceptor)
	if err != nil {
		return err
	}
	if s.interceptor != nil {
		rememberOutside(s.interceptor, was.Edges)
	}
	s.emit(event.Event{Type: event.Crashed, Elapsed: time.Since(began), Message: fmt.Sprintf("upall's supervisor had died, and goes on (life %d)", s.Life)})
	for _, e := range missed(s.machine.instances, was.Instances, present) {
		s.emit(e)
	}
	for _, i := range was.Instances {
		if found := s.machine.find(i.Instance); found != nil && found.isRunning() {
			s.untold[i.Instance] = i.Started.IsZero() || isOlder(i, found)
			found.Ready = found.Ready || i.Ready && !isOlder(i, found)
		}
	}
	return nil
}

// resumeInterceptor answers the calls that wait, and returns what is the case.
func (s *supervisor) resumeInterceptor() (present []event.Event, err error) {
	if err := s.openInterceptor(s.keptOfInterceptor()); err != nil {
		return nil, err
	}
	checked := map[string]bool{}
	for _, i := range s.machine.instances {
		checked[i.Name] = i.HasCheck
	}
	s.introduce(checked)
	if s.interceptor == nil {
		return nil, nil
	}
	if err := s.interceptor.Resume(); err != nil {
		return nil, err
	}
	return s.interceptor.Present(), nil
}

// resumeProject tells again how the project as a whole fares, for who waits for
// that, and goes on with its end. Then it takes the inputs that have come meanwhile.
func (s *supervisor) resumeProject(late []any) {
	switch {
	case s.machine.stopping:
	case s.ending: // killed before it could stop anything
		s.step(stop{})
	case s.failed != nil:
		s.tellProject(event.Failed, startFailedCode, s.failed.Error())
		if !s.wasUp {
			s.step(stop{})
		}
	case s.isUp:
		s.tellProject(event.StateUp, 0, "")
	}
	for _, in := range late {
		s.input(in)
	}
}

// keptOfInterceptor leaves out what is the supervisor's own.
func (s *supervisor) keptOfInterceptor() (all []intercept.Kept) {
	for _, k := range s.Kept {
		isOwn := k.Name == process.StateEntry || k.Name == controlEntry ||
			strings.HasPrefix(k.Name, process.ProgramEntry) || strings.HasPrefix(k.Name, publishEntry)
		if !isOwn {
			all = append(all, intercept.Kept(k))
		}
	}
	return all
}

// resumeRuntimes goes on with what runs. It takes its time where an engine does, and
// returns the inputs that have come meanwhile.
func (s *supervisor) resumeRuntimes() (late []any, err error) {
	if err := s.openProcesses(); err != nil {
		return nil, err
	}
	s.findChecks()
	found := resume{runs: s.processes().adopt(s.Kept), absent: map[string]bool{}}
	late = s.resumeContainers(&found)
	if s.isUnsaved { // what only the engine tells of containers was not known so far
		s.machine.check(s.checked())
		s.introduce(s.checked())
	}
	for _, i := range s.machine.instances {
		if i.isRunning() && i.service.Runtime == compose.Process && !found.runs[i.Name] {
			found.absent[i.Name] = true
		}
	}
	if err := errors.Join(s.openMeeting(s.ctx), s.openForwarders()); err != nil {
		s.warn("", fmt.Sprintf("after the crash of upall: %v", err))
	}
	s.step(found)
	return late, nil
}

// resumeContainers finds what has become of the containers meanwhile. It returns the
// inputs that have come before the engine has answered: they are about what is not
// known yet. Time passes for the others, and nobody has to wait who tells of them.
func (s *supervisor) resumeContainers(found *resume) (late []any) {
	answered := make(chan struct{})
	s.work.Go(func() {
		defer close(answered)
		s.awaitContainers(found)
	})
	beat := time.NewTicker(beatInterval)
	defer beat.Stop()
	for {
		select {
		case in := <-s.inputs:
			late = append(late, in)
		case <-beat.C:
			for _, instance := range s.board.tick(time.Now()) {
				late = append(late, readied{instance})
			}
		case <-answered:
			return late
		}
	}
}

// awaitContainers asks until the engine answers: it may be started again itself. The
// project goes on without a word until then.
func (s *supervisor) awaitContainers(found *resume) {
	again := time.NewTicker(engineInterval)
	defer again.Stop()
	for said := false; ; said = true {
		err := s.findContainers(found)
		if err == nil {
			return
		}
		if !said {
			s.warn("", fmt.Sprintf("after the crash of upall: %v; trying again", err))
		}
		select {
		case <-again.C:
		case <-s.Kill:
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// engineInterval is between two tries to reach the engine.
const engineInterval = 500 * time.Millisecond

func (s *supervisor) findContainers(found *resume) error {
	if err := s.openContainers(s.savedAt); err != nil {
		return err
	}
	c := s.containers()
	if c == nil {
		return nil
	}
	s.findChecks()
	running, err := c.runtime.Running(s.ctx)
	if err != nil {
		return err
	}
	for _, i := range s.machine.instances {
		if !i.isRunning() || i.service.Runtime != compose.Engine {
			continue
		}
		if details, runs := running[i.Name]; runs {
			found.runs[i.Name] = true
			s.ran(i, details.PID, details.ID)
			continue
		}
		details, err := c.runtime.Details(s.ctx, i.Name)
		// Compared with when it was to be started: the engine's clock is ours. One that
		// has begun was started; if it is made anew meanwhile, a Spec will say so.
		found.absent[i.Name] = err == nil && !i.Began && details.Started.Before(i.Started)
	}
	return nil
}
