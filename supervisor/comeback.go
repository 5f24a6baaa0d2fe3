package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/engine"
	"upall/supervisor/engine/agent"
)

// An agent is a container, so it ends with its engine, which starts it again with
// itself. It cannot go on as after a crash: no descriptor is left, and no container.
// It brings up again what the engine would, had it somebody to hand over to. So it
// does when the engine starts it again because its keeper was killed.

// Files in the private state directory.
const (
	// keyFile has the key of the agent's container.
	keyFile = "container"
	// remainsFile has the remains that are being brought up again.
	remainsFile = "remains.json"
)

// remains are what an earlier run of the agent's container has left of the project.
type remains struct {
	Spec   *control.Spec   `json:"spec"`
	Wanted map[string]bool `json:"wanted"` // instances that were to run
	// Metadata of the instances' containers. Others are somebody else's by now.
	Metadata map[string]string `json:"metadata"`
}

// comesBack tells whether this is an agent that its engine starts again.
func (s *supervisor) comesBack() bool {
	return s.Agent != nil && agent.ComesBack(s.Agent.Engine, s.Agent.OnHost)
}

// noteContainer has a later run of the same container know that this was it.
func (s *supervisor) noteContainer() error {
	if !s.comesBack() {
		return nil
	}
	return writeFile(s.statePath(keyFile), []byte(s.ContainerKey))
}

// findRemains finds the project that an earlier run of this container had, nil if there
// was none. What another has left is not this one's to go on with: somebody brings the
// project up anew.
func (s *supervisor) findRemains() *remains {
	private := filepath.Join(s.Base, s.Project, "private")
	if key, err := os.ReadFile(filepath.Join(private, keyFile)); !s.comesBack() || err != nil || string(key) != s.ContainerKey {
		return nil
	}
	r, err := readRemains(private, s.Life)
	if err != nil {
		s.Logger.Error("bring the project up again", "error", err)
		return nil
	}
	return r
}

// readRemains returns nil for a project that was not up, or was to end, and for lives
// that go on with one.
func readRemains(private string, life int) (*remains, error) {
	data, err := os.ReadFile(filepath.Join(private, remainsFile))
	switch {
	case err == nil: // they have not been brought up yet
		r := &remains{}
		return r, json.Unmarshal(data, r)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case life > 1:
		return nil, nil //nolint:nilnil // there are none
	}
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
	if m.stopping {
		return nil, nil //nolint:nilnil // somebody has stopped it
	}
	r := &remains{spec, map[string]bool{}, saved.Metadata}
	for _, i := range m.instances {
		// What could not be started may have failed for the end of the engine.
		r.Wanted[i.Name] = i.Wanted && (!i.hasEnded() || i.Code == startFailedCode)
	}
	return r, nil
}

// keepRemains has a run of the container that ends before they are brought up leave
// them to the next.
func (s *supervisor) keepRemains(r *remains) error {
	data, err := json.Marshal(r)
	if err == nil {
		err = writeFile(s.statePath(remainsFile), data)
	}
	return err
}

// returning is what the engine says of a project that comes back.
type returning struct {
	engine     *engine.Engine
	unattended map[string]bool // instances that ran without anybody to answer them
	containers map[string]engine.Details
}

// comeBack brings a project up again, once the engine answers. A supervisor that cannot
// do it ends.
func (s *supervisor) comeBack(r *remains) {
	s.tellProject(event.Starting, 0, "the engine has started upall's agent again")
	s.work.Go(func() {
		found, ok := s.awaitReturning()
		if !ok {
			return
		}
		isTaken := s.do(func() {
			defer close(s.returned)
			s.engine = found.engine
			if err := s.bringBack(r, found); err != nil {
				s.cannotComeBack(err)
			}
		})
		if !isTaken {
			s.Logger.Info("the supervisor ends before it has come back", "error", found.engine.Close())
		}
	})
}

// cannotComeBack leaves where the engine ends once more, and else ends.
func (s *supervisor) cannotComeBack(why error) {
	s.Logger.Error("bring the project up again", "error", why)
	ctx, cancel := context.WithTimeout(s.ctx, pingPatience)
	defer cancel()
	if s.engine.Ping(ctx) != nil {
		s.hasLeft = true
		return
	}
	s.tellProject(event.Failed, startFailedCode, fmt.Sprintf("started again with the engine, upall's agent could not bring the project up: %v", why))
	s.ending, s.machine = true, nil
}

// awaitReturning asks until the engine has answered all, or this ends: the engine starts
// containers before it answers, and may end once more.
func (s *supervisor) awaitReturning() (r returning, ok bool) {
	again := time.NewTicker(engineInterval)
	defer again.Stop()
	unattended := map[string]bool{} // what one try has stopped, the next does not find
	for {
		r, err := s.askReturning()
		maps.Copy(unattended, r.unattended)
		if err == nil {
			r.unattended = unattended
			return r, true
		}
		s.Logger.Info("wait for the engine", "error", err)
		select {
		case <-again.C:
		case <-s.ctx.Done():
			return r, false
		}
	}
}

// askReturning stops what runs and has nobody to answer it: the engine has started it
// before it answered.
func (s *supervisor) askReturning() (r returning, err error) {
	if r.engine, err = s.OpenEngine(s.ctx); err != nil {
		return r, err
	}
	r.unattended, err = r.engine.StopUnattended(s.ctx, s.Project, s.Logger)
	if err == nil {
		r.containers, err = r.engine.Details(s.ctx, s.Project)
	}
	if err != nil {
		err = errors.Join(err, r.engine.Close())
	}
	return r, err
}

// bringBack starts what was wanted and is to be restarted with the engine, and what
// has run unattended.
func (s *supervisor) bringBack(r *remains, found returning) (err error) {
	if r.Spec.Services == nil {
		r.Spec.Services = serviceNames(r.Spec.Plan)
	}
	s.machine, s.wasUp = newMachine(r.Spec.Plan, r.Spec.Ending, r.Spec.Grace), true // one that does not start leaves the others alone
	areOurs := false
	for _, i := range s.machine.instances {
		c, is := found.containers[i.Name]
		is = is && c.Metadata == r.Metadata[i.Name]
		areOurs = areOurs || is
		i.Wanted = is && r.Wanted[i.Name] && (found.unattended[i.Name] || c.RestartsWithEngine)
		i.Code = c.Code
	}
	if !areOurs {
		return errors.New("its containers are gone, or were made by somebody else")
	}
	maps.Copy(s.metadata, r.Metadata) // by which the next run of the container knows its own
	// From here on a later life goes on as after a crash.
	if s.specFile, err = s.saveSpec(r.Spec); err != nil {
		return err
	}
	s.saveState()
	if err := os.Remove(s.statePath(remainsFile)); err != nil {
		return err
	}
	s.openRecord()
	if err := s.use(r.Spec, true); err != nil {
		return err
	}
	s.step(begin{})
	return nil
}

// awaitReturn waits until a project has come back, if it does: nothing else may be
// done with it meanwhile but to end it.
func (s *supervisor) awaitReturn(ctx context.Context) error {
	if s.returned == nil {
		return nil
	}
	select {
	case <-s.returned:
	case <-s.over:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
