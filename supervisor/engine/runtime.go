package engine

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"

	"upall/compose"
)

// Runtime starts, watches and stops the containers of one project. Its methods
// may be called from any goroutine.
type Runtime struct {
	Config  // without project and plan, which can be replaced
	name    string
	present atomic.Pointer[present]
	outputs *outputs
}

// present is the newest plan of a project and the containers that are known. It
// does not change.
type present struct {
	planned
	refs map[string]ref // by instance
}

// NewRuntime finds the containers that Create has made. Close the Runtime.
func NewRuntime(ctx context.Context, c Config) (*Runtime, error) {
	r := &Runtime{Config: c, name: c.Plan.Name}
	r.Project, r.Plan = nil, nil
	r.outputs = newOutputs(ctx, r)
	if err := r.Apply(ctx, c.Project, c.Plan, c.EnvFiles); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Apply replaces the plan by another of the same project, for which Create has
// been called, and finds the containers again.
func (r *Runtime) Apply(ctx context.Context, project *types.Project, plan *compose.Plan, envFiles []string) error {
	c := r.Config
	c.Project, c.Plan, c.EnvFiles = project, plan, envFiles
	return r.find(ctx, newPlanned(c))
}

// Refresh finds the containers again, which somebody else may have made anew.
func (r *Runtime) Refresh(ctx context.Context) error { return r.find(ctx, r.present.Load().planned) }

func (r *Runtime) find(ctx context.Context, p planned) error {
	refs, err := r.Engine.list(ctx, r.name)
	if err != nil {
		return err
	}
	found := &present{p, map[string]ref{}}
	for _, c := range slices.Backward(refs) { // the engine lists the newest first
		if p.services[c.service] != nil {
			found.refs[c.instance] = c
		}
	}
	r.present.Store(found)
	return nil
}

// Close ends the telling of output, and waits until nothing of the Runtime goes
// on but for calls. The containers are left alone.
func (r *Runtime) Close() { r.outputs.close() }

// container returns the container of an instance.
func (r *Runtime) container(instance string) (ref, error) {
	c, ok := r.present.Load().refs[instance]
	if !ok {
		return ref{}, fmt.Errorf("%s has no container", instance)
	}
	return c, nil
}

// Metadata returns the metadata with which an instance hands over. ok is false
// for an instance that has no container.
func (r *Runtime) Metadata(instance string) (metadata string, ok bool) {
	c, ok := r.present.Load().refs[instance]
	return c.metadata, ok
}

// Start starts the containers of instances at the same moment, runs their hooks
// and waits until the engine has done so; started is called for each, from any
// goroutine. Those that run are left alone. It returns the errors by instance;
// err is one that kept all of them from starting.
func (r *Runtime) Start(ctx context.Context, instances []string, started func(instance string)) (failed map[string]error, err error) {
	now := r.present.Load()
	if err := now.writeShimFiles(instances); err != nil {
		return nil, err
	}
	project, err := now.needed().WithSelectedServices(now.servicesOf(instances), types.IgnoreDependencies)
	if err != nil {
		return nil, err
	}
	starter := newStarter(r.Engine.api, now.startPlan())
	byID := map[string]ref{}
	for _, c := range now.refs {
		byID[c.id] = c
	}
	starter.plan.prepare = func(id string) { r.outputs.prepare(byID[id]) }
	starter.plan.started = func(instance string) {
		r.outputs.follow(now.refs[instance])
		started(instance)
	}
	service, err := r.Engine.service(&some{APIClient: starter, instances: instances, othersRun: true})
	if err != nil {
		return nil, err
	}
	err = service.Start(ctx, r.name, api.StartOptions{Project: project})
	failed = starter.wait()
	if err != nil && len(failed) == 0 {
		return nil, fmt.Errorf("start the containers: %w", err)
	}
	return failed, nil
}

func (p *present) startPlan() startPlan {
	plan := startPlan{names: map[string]string{}, needs: map[string][]string{}, choosy: map[string]bool{}}
	needed := p.needed()
	for _, c := range p.refs {
		plan.names[c.id] = c.instance
		plan.choosy[c.id] = choosesPort(p.services[c.service])
		for name := range needed.Services[c.service].DependsOn {
			for _, other := range p.refs {
				if other.service == name {
					plan.needs[c.id] = append(plan.needs[c.id], other.id)
				}
			}
		}
	}
	return plan
}

// choosesPort tells whether the engine is to choose a port of the host for the
// service.
func choosesPort(s *compose.Service) bool {
	return slices.ContainsFunc(s.Published, func(p compose.Publish) bool { return p.HostPort == 0 || p.HostPortEnd != 0 })
}

// servicesOf returns the services of instances.
func (p *present) servicesOf(instances []string) []string {
	var names []string
	for _, instance := range instances {
		if c, ok := p.refs[instance]; ok && !slices.Contains(names, c.service) {
			names = append(names, c.service)
		}
	}
	return names
}

// writeShimFiles makes what the shims of instances read. Without interception
// there is nothing, and the shim steps aside.
func (p *present) writeShimFiles(instances []string) error {
	if p.Socket == "" {
		return nil
	}
	for _, instance := range instances {
		c, ok := p.refs[instance]
		if !ok || !c.hasShim {
			continue
		}
		filter, err := filterOf(p.services[c.service]).Compile()
		if err != nil {
			return err
		}
		if p.HasAgent { // who has created the container could not
			if err := installShim(p.shimPath()); err != nil {
				return fmt.Errorf("prepare the shim of %s: %w", instance, err)
			}
		}
		if err := p.shimOf(instance).write(filter, c.metadata, p.Socket); err != nil {
			return fmt.Errorf("prepare the shim of %s: %w", instance, err)
		}
	}
	return nil
}
