package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"upall/internal/event"
	"upall/supervisor/control"
)

// An agent is a container, so it ends with its engine, which starts it again with
// itself. It cannot go on as after a crash: no descriptor is left, and no container.
// It brings up again what the engine would, had it somebody to hand over to.

// ErrEngineEnds says that a supervisor in an agent ends with its engine. The project
// is left for when the engine starts the agent again.
var ErrEngineEnds = errors.New("the engine ends, and the agent with it")

// enginePatience is how long an engine may take to say that it is there.
const enginePatience = 5 * time.Second

// comesBack tells whether this is an agent that its engine starts again. One with
// processes of the host is not: they end with it.
func (s *supervisor) comesBack() bool { return s.Agent != nil && !s.Agent.OnHost }

// endOrLeave ends the project if it is the agent alone that somebody ends. An engine
// that ends does not answer any more.
func (s *supervisor) endOrLeave() {
	if !s.comesBack() || s.engine == nil {
		s.end(nil)
		return
	}
	e := s.engine
	s.work.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, enginePatience)
		defer cancel()
		err := e.Ping(ctx)
		s.give(func() {
			if err == nil {
				s.end(nil)
				return
			}
			s.Logger.Info("the engine ends", "error", err)
			s.leaving = fmt.Sprintf("the engine at %s ends, and the project's containers with it", s.Agent.Engine)
			s.tellProject(event.StateStopping, 0, s.leaving)
		})
	})
}

// tryLeave is over when no container is left whose calls have to be answered.
func (s *supervisor) tryLeave() {
	if s.leaving != "" && !s.left && (s.interceptor == nil || s.interceptor.IsIdle()) {
		s.left = true
		s.tellProject(event.StateOver, startFailedCode, s.leaving+
			": once it is back, what it is to restart (restart: always or unless-stopped) is started again, and `upall up` starts all")
	}
}

// closeState leaves the directory where the supervisor is to come back.
func (s *supervisor) closeState() error {
	if s.left {
		return s.state.Leave()
	}
	return s.state.Close()
}

// containerFile in the private state directory names the agent's container.
const containerFile = "container"

// left is what a container of the engine has left of its project when it was ended.
type left struct {
	spec   *control.Spec
	wanted map[string]bool // instances
}

// noteContainer has a later run of the same container know that this was it.
func (s *supervisor) noteContainer() error {
	if !s.comesBack() {
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	return writeFile(s.statePath(containerFile), []byte(name))
}

// findLeft finds the project that an earlier run of this container had, nil if there
// was none. What another has left is not this one's to go on with: somebody brings the
// project up anew.
func (s *supervisor) findLeft() *left {
	if !s.comesBack() || s.Life > 1 {
		return nil
	}
	private := filepath.Join(s.Base, s.Project, "private")
	was, err := os.ReadFile(filepath.Join(private, containerFile))
	if name, nameErr := os.Hostname(); err != nil || nameErr != nil || string(was) != name {
		return nil
	}
	l, err := readLeft(private)
	if err != nil {
		s.Logger.Error("bring the project up again", "error", err)
		return nil
	}
	return l
}

// readLeft returns nil for a project that was not up, or was to end.
func readLeft(private string) (*left, error) {
	saved, _, err := readState(private)
	if err != nil || saved.Ending {
		return nil, err
	}
	spec, err := readSpec(filepath.Join(private, saved.Spec))
	if spec == nil || err != nil {
		return nil, err
	}
	m := newMachine(spec.Plan, spec.Ending, spec.Grace)
	if saved.Machine != nil {
		if err := m.restore(saved.Machine); err != nil {
			return nil, err
		}
	}
	l := &left{spec, map[string]bool{}}
	for _, i := range m.instances {
		l.wanted[i.Name] = i.Wanted
	}
	return l, nil
}

// comeBack brings a project up again. What keeps it from that is told; then there is
// no project, and the supervisor ends if nobody gives it one.
func (s *supervisor) comeBack(l *left) {
	err := s.awaitEngine()
	if err == nil {
		err = s.bringBack(l)
	}
	if err != nil {
		s.Logger.Error("bring the project up again", "error", err)
		s.warn("", fmt.Sprintf("the engine has started upall's agent again, which could not bring the project up: %v", err))
	}
}

// awaitEngine waits until the engine can be asked: it starts containers before it
// answers.
func (s *supervisor) awaitEngine() (err error) {
	again := time.NewTicker(engineInterval)
	defer again.Stop()
	for {
		if s.engine, err = s.OpenEngine(s.ctx); err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-s.End:
			return err
		case <-s.ctx.Done():
			return err
		}
	}
}

// bringBack starts what was wanted and is to be restarted with the engine. Nobody
// answers what has run meanwhile, which is started anew.
func (s *supervisor) bringBack(l *left) error {
	unattended, err := s.engine.StopUnattended(s.ctx, s.Project, s.Logger)
	if err != nil {
		return err
	}
	if l.spec.Services == nil {
		l.spec.Services = serviceNames(l.spec.Plan)
	}
	if s.specFile, err = s.saveSpec(l.spec); err != nil {
		return err
	}
	s.openRecord()
	if err := s.use(l.spec, true); err != nil {
		s.spec, s.machine = nil, nil // as if there were none
		return err
	}
	for _, i := range s.machine.instances {
		details, err := s.containers().runtime.Details(s.ctx, i.Name)
		if err != nil { // it was removed, maybe
			s.warn(i.service.Name, fmt.Sprintf("not started again: %v", err))
		}
		i.Wanted = err == nil && l.wanted[i.Name] && (unattended[i.Name] || details.RestartsWithEngine)
		i.Code = details.Code
	}
	s.tellProject(event.Starting, 0, "the engine was started again")
	s.step(begin{})
	return nil
}
