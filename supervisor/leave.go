package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"upall/internal/event"
	"upall/supervisor/engine"
)

// ErrEngineEnds says that a supervisor in an agent ends with its engine. The project
// is left for when the engine starts the agent again.
var ErrEngineEnds = errors.New("the engine ends, and the agent with it")

const (
	// pingPatience is how long an engine may take to say that it is there.
	pingPatience = 5 * time.Second
	// pingInterval is between two questions of one that did not.
	pingInterval = time.Second
	// engineEndsCode is a project's that ends with its engine.
	engineEndsCode = 1
)

// endOrLeave ends the project if it is the agent alone that somebody ends. An engine
// that ends does not answer any more.
func (s *supervisor) endOrLeave() {
	switch {
	case !s.comesBack() || s.engine == nil && s.returned == nil:
		s.end(nil)
	case s.engine == nil: // it has not come back yet
		s.hasLeft = true
	default:
		e := s.engine
		s.work.Go(func() { s.judgeEnd(e) })
	}
}

// judgeEnd asks whether the engine is there, until it is or the supervisor has left.
func (s *supervisor) judgeEnd(e *engine.Engine) {
	again := time.NewTicker(pingInterval)
	defer again.Stop()
	for {
		ctx, cancel := context.WithTimeout(s.ctx, pingPatience)
		err := e.Ping(ctx)
		cancel()
		s.give(func() {
			if err == nil {
				s.leaving = ""
				s.end(nil)
				return
			}
			s.leave(err)
		})
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-s.over:
			return
		}
	}
}

// leave goes on answering until the engine has ended the containers.
func (s *supervisor) leave(why error) {
	if s.leaving != "" {
		return
	}
	s.Logger.Info("the engine ends", "error", why)
	s.leaving = fmt.Sprintf("the engine at %s ends, and the project's containers with it", s.Agent.Engine)
	s.tellProject(event.StateStopping, 0, s.leaving)
}

// tryLeave is over when no container is left whose calls have to be answered.
func (s *supervisor) tryLeave() {
	if s.leaving != "" && !s.hasLeft && (s.interceptor == nil || s.interceptor.IsIdle()) {
		s.hasLeft = true
		s.tellProject(event.StateOver, engineEndsCode, s.leaving+
			": once it is back, what it is to restart (restart: always or unless-stopped) is started again, and `upall up` starts all")
	}
}

// closeState leaves the directory where the supervisor is to come back.
func (s *supervisor) closeState() error {
	if s.hasLeft {
		return s.state.Leave()
	}
	return s.state.Close()
}
