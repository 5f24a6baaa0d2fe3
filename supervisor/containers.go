package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"upall/compose"
	"upall/intercept"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/supervisor/engine"
)

// containers is the runner of the engine runtime.
type containers struct {
	*supervisor
	runtime  *engine.Runtime
	starting sync.WaitGroup
	work     sync.WaitGroup // stops and kills
	watch    sync.WaitGroup
}

// openContainers creates the containers. A stop breaks it off.
func openContainers(s *supervisor, stop <-chan struct{}) (*containers, error) {
	c := &containers{supervisor: s}
	config := engine.Config{
		Engine: s.Engine, Project: s.Project, EnvFiles: s.EnvFiles, Plan: s.plan, Logger: s.Logger,
		Directory: filepath.Join(s.State.Private(), "containers"), WaitKillable: !s.Disabled.Has(linux.WaitKillable) && linux.HasWaitKillable(),
		Warn:   s.warn,
		Output: c.output,
	}
	if s.Intercept {
		config.Socket = s.State.Socket()
	}
	var err error
	if c.runtime, err = engine.NewRuntime(config); err != nil {
		return nil, err
	}
	if s.Intercept && !s.Engine.HasListenerPath() {
		s.warn("", fmt.Sprintf("on Docker Engine %s setuid programs (sudo, su) get no privilege in containers; from 23.0 on they do (docs/containers.md)", s.Engine.Version()))
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := c.runtime.Create(ctx, s.Create); err != nil {
		return nil, err
	}
	if created := time.Now(); !s.NoStart {
		c.watch.Go(func() { c.runtime.Watch(s.ctx, created, c.happened) })
	}
	return c, nil
}

func (c *containers) output(service, instance, stream, line string) {
	c.Bus.EmitLog(event.Event{Time: time.Now(), Type: event.Log, Service: service, Instance: instance, Stream: stream, Message: line})
}

// metadata of an instance; one that the plan has and the engine has not is never
// handed over.
func (c *containers) metadata(instance string) string {
	metadata, _ := c.runtime.Metadata(instance)
	return metadata
}

// happened takes what the engine tells.
func (c *containers) happened(what any) {
	switch what := what.(type) {
	case engine.Began:
		c.give(began{what.Instance})
	case engine.Ended:
		then := map[engine.Then]then{engine.Over: over, engine.Restarts: restarts, engine.MayReturn: mayReturn}[what.Then]
		c.give(ended{what.Instance, what.Code, then})
	case engine.Health:
		kind := event.Unhealthy
		if what.Healthy {
			kind = event.Healthy
		}
		c.Bus.Emit(event.Event{Time: time.Now(), Type: kind, Service: c.serviceOf(what.Instance), Instance: what.Instance})
	case engine.Lost:
		c.warn("", what.Err.Error()+"; trying again")
	}
}

func (c *containers) serviceOf(instance string) string {
	if i := c.machine.find(instance); i != nil {
		return i.service.Name
	}
	return ""
}

// start: without one of them the project does not come up, as with Compose.
func (c *containers) start(all []*instance) {
	c.starting.Go(func() {
		failed, err := c.runtime.Start(c.ctx, services(all), c.started)
		if err != nil {
			c.give(cannotStart{err})
		}
		var consequences []notStarted
		for _, i := range all {
			err := failed[i.Name]
			if err == nil {
				continue
			}
			not := notStarted{ended{i.Name, startFailedCode, over}, fmt.Errorf("start %s: %w", i.Name, err)}
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

func (c *containers) started(instance string) {
	if i := c.machine.find(instance); i != nil {
		c.tellRuns(i)
	}
}

// startFailedCode is Docker's own exit code for a container that could not run.
const startFailedCode = 125

func services(all []*instance) (names []string) {
	for _, i := range all {
		if !slices.Contains(names, i.service.Name) {
			names = append(names, i.service.Name)
		}
	}
	return names
}

// stop comes after the starts that are under way: what they start must end too.
func (c *containers) stop(all []*instance) {
	c.work.Go(func() {
		c.starting.Wait()
		if err := c.runtime.Stop(c.ctx, services(all), c.Grace); err != nil {
			c.warn("", fmt.Sprintf("stop containers: %v", err))
		}
		c.giveOver(all)
	})
}

// giveOver gives the ends of instances that do not run: of one that has never
// run the engine tells none. If it does not answer, all are taken for ended.
func (c *containers) giveOver(all []*instance) {
	codes, err := c.runtime.Over(c.ctx)
	for _, i := range all {
		if code, is := codes[i.Name]; is || err != nil {
			c.give(ended{i.Name, code, over})
		}
	}
}

func (c *containers) kill(i *instance) {
	c.work.Go(func() { c.logIf("kill", i, c.runtime.Kill(c.ctx, i.Name)) })
}

func (c *containers) finish() {
	c.starting.Wait()
	c.work.Wait()
}

func (c *containers) close() {
	c.watch.Wait()
	c.runtime.Wait()
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
