package supervisor

import (
	"time"

	"upall/internal/event"
)

func (s *supervisor) tellStarted(i *instance) {
	if s.interceptor != nil {
		s.interceptor.Started(i.Name)
	}
}

func (s *supervisor) tellChange(c changed) {
	s.emit(event.Event{
		Type: event.StateChanged, Service: c.service.Name, Instance: c.Name,
		State: c.state, Code: c.code, Message: c.why, At: c.StartAt,
	})
	if containers := s.containers(); c.begun && containers != nil {
		containers.started(c.Name)
	}
	hasEnded := c.final || c.state == event.Restarting
	if hasEnded {
		s.endProbes(c.instance)
		s.runners[c.service.Runtime].forget(c.instance)
	}
	switch {
	case s.interceptor == nil:
	case c.begun:
		s.interceptor.Began(c.Name)
	case hasEnded:
		s.interceptor.Ended(c.Name, c.code, c.final)
	}
}

// ran notes that the program of an instance runs, which an earlier life may have
// told already.
func (s *supervisor) ran(i *instance, pid int, container string) {
	if !i.Began || s.untold[i.Name] {
		i.Began = true
		delete(s.untold, i.Name)
		s.saveState()
		s.emit(event.Event{Type: event.Started, Service: i.service.Name, Instance: i.Name, PID: pid, ContainerID: container})
	}
	s.beginProbes(i)
}

func (s *supervisor) tellStopping(i *instance) {
	s.emit(event.Event{Type: event.StateChanged, Service: i.service.Name, Instance: i.Name, State: event.StateStopping})
}

func (s *supervisor) answer(i *instance) {
	if s.interceptor != nil {
		s.interceptor.Answer(i.Name)
	}
}

// remove forgets an instance that has ended.
func (s *supervisor) remove(i *instance) {
	if s.interceptor != nil {
		s.interceptor.Remove(i.Name)
	}
	delete(s.metadata, i.Name)
}

func (s *supervisor) emit(e event.Event) {
	e.Time = time.Now()
	s.bus.Emit(e)
}

func (s *supervisor) warn(service, message string) {
	s.emit(event.Event{Type: event.Warning, Service: service, Message: message})
}

func (s *supervisor) logIf(what string, i *instance, err error) {
	if err != nil {
		s.Logger.Warn(what, "instance", i.Name, "error", err)
	}
}
