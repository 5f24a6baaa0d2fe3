package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"upall/compose"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/supervisor/control"
)

// waiter is an action that is not done yet.
type waiter struct {
	isDone func() bool
	done   chan struct{}
}

// Act does something with services of the project, and returns when it is done.
func (s *supervisor) Act(ctx context.Context, a control.Action) error {
	sig, err := otherSignal(a)
	if err == nil && a.Verb != control.End {
		err = s.awaitReturn(ctx)
	}
	if err != nil {
		return err
	}
	if sig != 0 {
		return s.signal(a.Services, sig)
	}
	var done chan struct{}
	if !s.do(func() { done, err = s.act(a) }) {
		return nil // it has ended
	}
	if err != nil || done == nil {
		return err
	}
	select {
	case <-done:
	case <-s.over:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (s *supervisor) act(a control.Action) (done chan struct{}, err error) {
	if a.Verb == control.End {
		s.forgets = s.forgets || a.Forget
		s.end(a.Timeout)
		return s.await(func() bool { return s.machine == nil || s.machine.isDone() }), nil
	}
	if a.Verb == control.Replace {
		return nil, s.replace()
	}
	if err := s.conflict(a.Services); err != nil {
		return nil, err
	}
	if s.machine == nil {
		return nil, errors.New("the project has no services yet: `upall up` is still creating it")
	}
	if s.machine.stopping && a.Verb != control.Stop && a.Verb != control.Kill {
		if !s.machine.isDone() {
			return nil, errEnding
		}
		s.machine.stopping = false
	}
	switch a.Verb {
	case control.Stop:
		s.step(stopServices{services: a.Services, grace: a.Timeout})
	case control.Kill:
		s.step(stopServices{services: a.Services, grace: a.Timeout, kill: true})
	case control.Start:
		s.step(startServices{a.Services})
	case control.Restart:
		s.step(restartServices{services: a.Services, grace: a.Timeout, alone: a.NoDeps})
	default:
		return nil, fmt.Errorf("action %q: unknown", a.Verb)
	}
	return s.await(func() bool { return s.machine.isSettled(a.Services) }), nil
}

// otherSignal is the signal that an action sends which does not end what services
// are wanted for; 0 if it sends none.
func otherSignal(a control.Action) (syscall.Signal, error) {
	if a.Verb != control.Kill || a.Signal == "" {
		return 0, nil
	}
	sig, err := linux.ParseSignal(a.Signal)
	if err != nil {
		return 0, control.Errorf(http.StatusBadRequest, "signal: %v", err)
	}
	if sig == syscall.SIGKILL {
		return 0, nil
	}
	return sig, nil
}

// signal sends a signal to the programs of services. What they make of it is
// theirs.
func (s *supervisor) signal(services []string, sig syscall.Signal) error {
	var sent []func() error
	var err error
	s.do(func() {
		if err = s.conflict(services); err != nil || s.machine == nil {
			return
		}
		for _, i := range s.machine.of(services) {
			if i.isRunning() && i.Began {
				sent = append(sent, s.runners[i.service.Runtime].signal(i, sig))
			}
		}
	})
	errs := []error{err}
	for _, wait := range sent {
		errs = append(errs, wait())
	}
	return errors.Join(errs...)
}

// await notes that somebody waits for a fact.
func (s *supervisor) await(isDone func() bool) chan struct{} {
	w := waiter{isDone, make(chan struct{})}
	s.waiters = append(s.waiters, w)
	return w.done
}

func (s *supervisor) tellWaiters() {
	s.waiters = slices.DeleteFunc(s.waiters, func(w waiter) bool {
		if w.isDone() {
			close(w.done)
			return true
		}
		return false
	})
}

// isSettled tells whether services are where they were asked to be: nothing that
// is to end runs, and nothing that may start has not. Who waits for a start gate is
// where it can be.
func (m *machine) isSettled(services []string) bool {
	return !slices.ContainsFunc(m.of(services), func(i *instance) bool {
		switch {
		case i.Again || i.Stop != notStopping:
			return true
		case i.State == event.Created:
			return i.Wanted && m.isOpen(i.service)
		case i.State == event.Restarting:
			return !i.Wanted
		}
		return i.isRunning() && !i.Began
	})
}

func joined(plan *compose.Plan) string {
	if plan == nil {
		return "none so far"
	}
	return strings.Join(serviceNames(plan), ", ")
}
