package supervisor

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"upall/compose"
	"upall/intercept"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/supervisor/engine"
	"upall/supervisor/status"
)

// containers is the runner of the engine runtime.
type containers struct {
	*supervisor
	runtime  *engine.Runtime
	starting sync.WaitGroup
	work     sync.WaitGroup // of single calls
	watch    sync.WaitGroup
}

// openContainers finds the containers of the plan, which who sent it has created.
// Of a plan that follows another it finds those that were made anew.
// Events of the engine count from since on.
func (s *supervisor) openContainers(since time.Time) error {
	if !s.usesEngine() {
		return nil
	}
	project, err := parseProject(s.ctx, s.spec)
	if err != nil {
		return err
	}
	if c := s.containers(); c != nil {
		return c.runtime.Apply(s.ctx, project, s.plan, s.spec.EnvFiles)
	}
	if s.engine == nil {
		if s.engine, err = s.OpenEngine(s.ctx); err != nil {
			return err
		}
	}
	c := &containers{supervisor: s}
	config := engine.Config{
		Engine: s.engine, Project: project, EnvFiles: s.spec.EnvFiles, Plan: s.plan, Logger: s.Logger,
		Directory: containersDir(s.state.Private()), WaitKillable: !s.disabled().Has(linux.WaitKillable) && linux.HasWaitKillable(),
		Output: c.output, HasAgent: s.Agent != nil, ShimDirectory: s.ShimDirectory,
	}
	if s.spec.Intercept {
		config.Socket = s.state.Socket()
	}
	if c.runtime, err = engine.NewRuntime(s.ctx, config); err != nil {
		return err
	}
	s.runners[compose.Engine] = c
	c.watch.Go(func() { c.runtime.Watch(c.ctx, since, c.happened) })
	return nil
}

// containersDir is where what containers see of upall is, below the private state
// directory.
func containersDir(private string) string { return filepath.Join(private, "containers") }

func (s *supervisor) containers() *containers {
	c, _ := s.runners[compose.Engine].(*containers)
	return c
}

func (c *containers) output(l engine.Line) {
	c.bus.EmitLog(event.Event{Time: l.At, Type: event.Log, Service: l.Service, Instance: l.Instance, Stream: l.Stream, Message: l.Text})
}

// hasMetadata of an instance; one that the plan has and the engine has not is
// never handed over.
func (c *containers) metadataOf(instance string) string {
	metadata, _ := c.runtime.Metadata(instance)
	return metadata
}

// happened takes what the engine tells.
func (c *containers) happened(what any) {
	switch what := what.(type) {
	case engine.Began:
		c.give(began{what.Instance, what.At})
	case engine.Ended:
		then := map[engine.Then]then{engine.Over: over, engine.Restarts: restarts, engine.MayReturn: mayReturn}[what.Then]
		c.give(func() {
			c.ranBriefly(what)
			c.step(ended{what.Instance, what.Code, then, what.At})
		})
	case engine.Health:
		c.give(func() { c.engineHealth(what) })
	case engine.Lost:
		c.warn("", what.Err.Error()+"; trying again")
	}
}

// start: without one of them the project does not come up, as with Compose.
func (c *containers) start(all []*instance) {
	c.starting.Go(func() {
		failed, err := c.runtime.Start(c.ctx, names(all), c.started)
		if err != nil {
			c.give(cannotStart{err})
		}
		var consequences []notStarted
		for _, i := range all {
			err := failed[i.Name]
			if err == nil {
				c.started(i.Name) // also what ran already
				continue
			}
			not := notStarted{ended{instance: i.Name, code: startFailedCode, then: over}, fmt.Errorf("start %s: %w", i.Name, err)}
			if _, is := errors.AsType[*engine.NeedError](err); is {
				consequences = append(consequences, not) // the causes are told first
				continue
			}
			c.give(not)
		}
		for _, not := range consequences {
			c.give(not)
		}
	})
}

// started is called from any goroutine, and may be more than once for a run.
func (c *containers) started(instance string) {
	c.work.Go(func() {
		details, err := c.runtime.Details(c.ctx, instance)
		if err != nil {
			c.Logger.Warn("look at a container that was started", "instance", instance, "error", err)
		}
		if details.Exposes {
			c.board.change(func(t *status.Tracker) { t.Exposes(instance) })
		}
		c.give(func() {
			if i := c.machine.find(instance); i != nil && i.isRunning() && !i.Began {
				c.ran(i, details.PID, details.ID)
				c.tellProgress()
			}
		})
	})
}

// ranBriefly tells of the start of a run that has ended before it was looked at.
func (c *containers) ranBriefly(end engine.Ended) {
	i := c.machine.find(end.Instance)
	if i != nil && i.isRunning() && !i.Began && end.At.After(i.Started) {
		c.ran(i, 0, "")
	}
}

// startFailedCode is Docker's own exit code for a container that could not run.
const startFailedCode = 125

func names(all []*instance) (names []string) {
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names
}

// stop comes after the starts that are under way: what they start must end too.
// Instances with another grace are stopped beside.
func (c *containers) stop(all []*instance) {
	byGrace := map[time.Duration][]*instance{}
	for _, i := range all {
		grace := c.machine.graceOf(i)
		byGrace[grace] = append(byGrace[grace], i)
	}
	for grace, some := range byGrace {
		instances, asked := names(some), time.Now()
		c.work.Go(func() {
			c.starting.Wait()
			if err := c.runtime.Stop(c.ctx, instances, &grace); err != nil {
				c.warn("", fmt.Sprintf("stop containers: %v", err))
			}
			c.giveOver(instances, asked)
		})
	}
}

// giveOver gives the ends of instances that do not run, and were asked to end: of
// one that has never run the engine tells none. If it does not answer, all are
// taken for ended.
func (c *containers) giveOver(instances []string, asked time.Time) {
	codes, err := c.runtime.Over(c.ctx)
	for _, name := range instances {
		if code, is := codes[name]; is || err != nil {
			c.give(ended{name, code, over, asked}) // it may run again meanwhile
		}
	}
}

func (c *containers) kill(i *instance) {
	c.work.Go(func() { c.logIf("kill", i, c.runtime.Kill(c.ctx, i.Name)) })
}

func (c *containers) signal(i *instance, sig syscall.Signal) (sent func() error) {
	instance := i.Name
	return func() error { return c.runtime.Signal(c.ctx, instance, sig) }
}

func (c *containers) forget(*instance) {}

func (c *containers) finish() {
	c.starting.Wait()
	c.work.Wait()
}

func (c *containers) close() {
	c.watch.Wait()
	c.runtime.Close()
}

// sync tells the machine of containers that have ended while a plan was made, as
// those that were made anew: the engine's own events may come later.
func (c *containers) sync() error {
	running, err := c.runtime.Running(c.ctx)
	if err != nil {
		return err
	}
	for _, i := range c.machine.instances {
		if _, runs := running[i.Name]; !runs && i.isRunning() && i.Began && i.service.Runtime == compose.Engine {
			c.step(ended{instance: i.Name, then: mayReturn})
		}
	}
	return nil
}

// describeContainer: a container's own loopback is its own, unless others share
// its network namespace.
func (s *supervisor) describeContainer(svc *compose.Service, i compose.Instance, in *intercept.Instance) {
	owner := i
	if i.Owner != "" {
		if o := s.machine.find(i.Owner); o != nil {
			owner = o.Instance
		}
	}
	for _, e := range owner.Endpoints {
		for _, a := range []netip.Addr{e.Addr, e.Addr6} {
			if a.IsValid() {
				in.Addrs = append(in.Addrs, a)
			}
		}
	}
	in.OnHost = svc.Namespace == compose.NamespaceHost
	space := owner.Name
	if (i.Owner == "" && strings.HasPrefix(svc.Namespace, "container:")) || in.OnHost {
		space = svc.Namespace
	}
	if in.HoldSelf || space != i.Name || s.isShared(i) {
		in.Loopback = netip.IPv6Loopback().WithZone(space)
	}
}

// isShared tells whether others are in the instance's network namespace.
func (s *supervisor) isShared(i compose.Instance) bool {
	return slices.ContainsFunc(s.machine.instances, func(o *instance) bool { return o.Owner == i.Name })
}
