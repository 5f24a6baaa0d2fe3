package supervisor

import (
	"time"

	"upall/compose"
	"upall/internal/event"
)

// run is the loop. It ends when the project has.
func (s *supervisor) run() {
	end, killed, gone := s.End, s.Kill, s.KeeperGone
	beat := time.NewTicker(beatInterval)
	defer beat.Stop()
	idle := time.NewTicker(idleInterval)
	defer idle.Stop()
	count := time.NewTicker(countInterval)
	defer count.Stop()
	for !s.isOver() {
		var due <-chan time.Time
		if at, ok := s.next(); ok {
			due = time.After(time.Until(at))
		}
		select {
		case in := <-s.inputs:
			s.input(in)
		case <-due:
			s.step(tick{})
		case <-end:
			end = nil
			s.endOrLeave()
		case <-gone:
			gone = nil
			s.keeperGone()
		case <-killed:
			killed = nil
			s.ending = true
			s.step(kill{})
		case <-beat.C:
			for _, instance := range s.board.tick(time.Now()) {
				s.step(readied{instance})
			}
			s.tryLeave()
		case <-count.C:
			s.count()
		case <-idle.C:
			s.endIdle()
		}
		s.tellWaiters()
	}
}

// beatInterval is between looks for what is ready because nothing has happened.
const beatInterval = 100 * time.Millisecond

func (s *supervisor) next() (at time.Time, ok bool) {
	if s.machine == nil {
		return time.Time{}, false
	}
	return s.machine.next()
}

func (s *supervisor) isOver() bool {
	return s.hasLeft || s.ending && (s.machine == nil || s.isOverTold && s.machine.isDone())
}

// input takes what other goroutines have to say.
func (s *supervisor) input(in any) {
	switch in := in.(type) {
	case func():
		in()
	case notStarted:
		s.step(in.ended)
		s.fail(in.err)
	case cannotStart:
		s.fail(in.err)
	default:
		s.step(in)
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

// fail ends a project that does not come up: nothing half started is left. In one
// that was up what runs goes on.
func (s *supervisor) fail(err error) {
	if s.failed == nil && !s.machine.stopping {
		s.failed = err
		s.saveState()
		s.tellProject(event.Failed, startFailedCode, err.Error())
	}
	if !s.wasUp {
		s.step(stop{})
	}
}

// give hands an input over from another goroutine.
func (s *supervisor) give(in any) {
	select {
	case s.inputs <- in:
	case <-s.over:
	}
}

// takeNoMore says that the loop is over.
func (s *supervisor) takeNoMore() { s.overOnce.Do(func() { close(s.over) }) }

// do has the loop run f and waits for it. It returns false if the loop is over.
func (s *supervisor) do(f func()) bool {
	done := make(chan struct{})
	s.give(func() { defer close(done); f() })
	select {
	case <-done:
		return true
	case <-s.over:
		return false
	}
}

// step feeds the machine and carries its outputs out. What it has decided is on
// record before it is done: a later life does it then, or finds it done.
func (s *supervisor) step(in any) {
	if s.machine == nil {
		return
	}
	out := s.machine.step(time.Now(), in)
	if _, isTick := in.(tick); len(out) > 0 || !isTick {
		s.saveState()
	}
	s.carryOut(out)
	s.tellProgress()
}

func (s *supervisor) carryOut(out []any) {
	starts, stops := map[compose.Runtime][]*instance{}, map[compose.Runtime][]*instance{}
	for _, o := range out {
		switch o := o.(type) {
		case changed:
			s.tellChange(o)
		case startProgram:
			starts[o.service.Runtime] = append(starts[o.service.Runtime], o.instance)
		case stopProgram:
			// A handler of the program must not wait for calls that are kept.
			s.answer(o.instance)
			s.tellStopping(o.instance)
			stops[o.service.Runtime] = append(stops[o.service.Runtime], o.instance)
		case killProgram:
			s.answer(o.instance)
			s.runners[o.service.Runtime].kill(o.instance)
		case removed:
			s.remove(o.instance)
		case warned:
			s.warn(o.service, o.message)
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
