package supervisor

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"upall/compose"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/supervisor/control"
	"upall/supervisor/engine"
)

// Apply makes the project what the Spec says: what it has not yet is started, what
// differs is made anew, the rest goes on. What is not in the Spec goes on too, but
// for instances of a service that has fewer, and what Spec.Only leaves out.
func (s *supervisor) Apply(ctx context.Context, spec *control.Spec) error {
	err := s.awaitReturn(ctx)
	if err != nil {
		return err
	}
	if !s.do(func() { err = s.apply(ctx, spec) }) {
		return errEnding
	}
	return err
}

var errEnding = control.Errorf(http.StatusConflict, "the project is being ended: try again when it has")

func (s *supervisor) apply(ctx context.Context, spec *control.Spec) error {
	switch {
	case s.spec != nil && s.spec.ID == spec.ID && spec.ID != "":
		return nil // taken by a life that could not say so any more
	case s.ending:
		return errEnding
	case s.spec != nil && s.spec.Intercept != spec.Intercept:
		return control.Errorf(http.StatusConflict, "the project is up with another setting of UPALL_INTERCEPT: `upall down` first")
	}
	if spec.Services == nil {
		spec.Services = serviceNames(spec.Plan)
	}
	merged, err := s.merge(ctx, spec)
	if err != nil {
		return err
	}
	file, err := s.saveSpec(merged)
	if err != nil {
		return err
	}
	isFirst := s.spec == nil
	if isFirst {
		s.openRecord()
	}
	s.failed, s.isUp = nil, false
	s.tellProject(event.Starting, 0, "")
	if err := s.use(merged, isFirst); err != nil {
		s.tellProject(event.Failed, startFailedCode, err.Error())
		if isFirst {
			s.ending, s.machine = true, nil // there is nothing to go on with
		}
		return err
	}
	before := s.specFile
	if isFirst {
		s.specFile = file
		s.step(begin{})
		return nil
	}
	if c := s.containers(); c != nil {
		if err := c.sync(); err != nil {
			return err
		}
	}
	s.specFile = file
	s.step(apply{
		plan: s.plan, services: spec.Services, anew: spec.Anew, checked: s.checked(),
		ending: spec.Ending, grace: spec.Grace,
	})
	if err := os.Remove(s.statePath(before)); err != nil {
		s.Logger.Warn("forget the project before", "error", err)
	}
	return nil
}

func serviceNames(plan *compose.Plan) (names []string) {
	for _, s := range plan.Services {
		names = append(names, s.Name)
	}
	return names
}

// merge adds what the project has and the new Spec does not name.
func (s *supervisor) merge(ctx context.Context, spec *control.Spec) (_ *control.Spec, err error) {
	if s.spec == nil {
		return spec, nil
	}
	merged, plan := *spec, *spec.Plan
	merged.Plan = &plan
	var kept []string
	plan.Services = nil
	for _, old := range s.spec.Plan.Services {
		isGone := spec.Only != nil && !slices.Contains(spec.Only, old.Name)
		if !slices.Contains(spec.Services, old.Name) && !isGone {
			kept = append(kept, old.Name)
			plan.Services = append(plan.Services, old)
		}
	}
	plan.Dependencies = append(dependenciesOf(spec.Services, plan.Dependencies), dependenciesOf(kept, s.spec.Plan.Dependencies)...)
	for _, svc := range spec.Plan.Services {
		if slices.Contains(spec.Services, svc.Name) {
			plan.Services = append(plan.Services, svc)
		}
	}
	slices.SortFunc(plan.Services, func(a, b compose.Service) int { return strings.Compare(a.Name, b.Name) })
	for _, old := range s.spec.Plan.Networks {
		if !slices.ContainsFunc(plan.Networks, func(n compose.Network) bool { return n.Key == old.Key }) {
			plan.Networks = append(plan.Networks, old)
		}
	}
	merged.Project, err = s.mergeProjects(ctx, spec, kept)
	return &merged, err
}

// mergeProjects adds services of the project before to what the engine runs.
func (s *supervisor) mergeProjects(ctx context.Context, spec *control.Spec, services []string) (string, error) {
	if s.spec.Project == "" || spec.Project == "" || len(services) == 0 {
		return cmp.Or(spec.Project, s.spec.Project), nil
	}
	old, err := parseProject(ctx, s.spec)
	if err != nil {
		return "", err
	}
	project, err := parseProject(ctx, spec)
	if err != nil {
		return "", err
	}
	return engine.MarshalProject(engine.MergeProjects(project, old, services))
}

// parseProject reads what the engine's services are in full.
func parseProject(ctx context.Context, spec *control.Spec) (*types.Project, error) {
	return engine.UnmarshalProject(ctx, spec.Project, spec.Plan.WorkingDir, environment(spec.Env), spec.Plan.Name)
}

func environment(env []string) map[string]string {
	all := map[string]string{}
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		all[key] = value
	}
	return all
}

// use opens what the Spec needs, before anything of it is started.
func (s *supervisor) use(spec *control.Spec, isFirst bool) error {
	s.spec, s.plan = spec, spec.Plan
	if s.machine == nil {
		s.machine = newMachine(s.plan, spec.Ending, spec.Grace)
	}
	s.board.follow(s.plan, spec.Intercept)
	if err := s.openInterceptor(nil); err != nil {
		return err
	}
	if err := s.openProcesses(); err != nil {
		return err
	}
	if err := s.openContainers(time.Now()); err != nil {
		return err
	}
	if err := s.openMeeting(s.ctx); err != nil {
		return err
	}
	checked := s.findChecks()
	if isFirst {
		s.machine.check(checked)
	}
	s.introduce(checked)
	return s.openForwarders()
}

func (s *supervisor) disabled() linux.Disabled { return linux.ParseDisabled(s.spec.Disabled) }

func (s *supervisor) usesEngine() bool {
	return slices.ContainsFunc(s.plan.Services, func(svc compose.Service) bool { return svc.Runtime == compose.Engine })
}

// tellProject tells of the project as a whole.
func (s *supervisor) tellProject(state event.State, code int, message string) {
	s.emit(event.Event{Type: event.ProjectChanged, State: state, Code: code, Message: message})
}

// tellProgress tells when all of the project has been started, and when it is
// over.
func (s *supervisor) tellProgress() {
	m := s.machine
	switch {
	case m.isDone():
		s.tellOver()
		return
	case m.stopping && !s.isStoppingTold:
		s.isStoppingTold = true
		s.tellProject(event.StateStopping, 0, "")
	}
	if !m.stopping {
		s.isOverTold, s.isStoppingTold = false, false
	}
	if s.isUp || s.failed != nil || m.stopping || !m.isStarted() {
		return
	}
	s.isUp, s.wasUp = true, true
	s.saveState()
	s.tellProject(event.StateUp, 0, "")
}

// tellOver tells that nothing of the project runs any more, once all that it has
// written is told.
func (s *supervisor) tellOver() {
	if s.isTellingOver || s.isOverTold {
		return
	}
	s.isTellingOver = true
	containers := s.containers()
	s.work.Go(func() {
		if containers != nil {
			containers.runtime.Wait()
		}
		s.give(func() {
			s.isTellingOver = false
			if s.machine != nil && s.machine.isDone() {
				s.isOverTold = true
				s.tellProject(event.StateOver, s.machine.code, "")
			}
		})
	})
}

// isStarted tells whether every instance that is wanted was started, or will not be.
func (m *machine) isStarted() bool {
	return !slices.ContainsFunc(m.instances, func(i *instance) bool {
		return i.Wanted && !i.Began && !i.hasEnded() && i.State != event.Restarting
	})
}

// idleInterval is between looks whether anybody still wants a supervisor that has
// no project.
const idleInterval = 5 * time.Second

// endIdle ends a supervisor that was given no project by who started it, and that
// nobody talks to.
func (s *supervisor) endIdle() {
	isIdle := s.spec == nil && !s.serving.isBusy()
	s.ending = s.ending || isIdle && s.wasIdle
	s.wasIdle = isIdle // who has started it may be between two connections
}

// end has the project end, and the supervisor with it.
func (s *supervisor) end(grace *time.Duration) {
	s.ending = true
	if s.machine != nil {
		s.saveState()
		s.step(stop{grace})
	}
}

// conflict says that services are not of the project.
func (s *supervisor) conflict(services []string) error {
	for _, name := range services {
		if s.plan == nil || !slices.Contains(serviceNames(s.plan), name) {
			return control.Errorf(http.StatusNotFound, "no such service: %s (services: %s)", name, joined(s.plan))
		}
	}
	return nil
}
