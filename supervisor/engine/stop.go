package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// some is an API client on which the Compose SDK sees some instances of a
// project. Of the others there are none, or, where the SDK is to start what
// does not run, they run.
type some struct {
	client.APIClient
	instances []string
	othersRun bool
}

// ContainerList lists containers. Those of run and of hooks are left as they are.
func (s *some) ContainerList(ctx context.Context, o client.ContainerListOptions) (client.ContainerListResult, error) {
	result, err := s.APIClient.ContainerList(ctx, o)
	isOther := func(c container.Summary) bool {
		r, ok := newRef(c.ID, c.Labels)
		return ok && !slices.Contains(s.instances, r.instance)
	}
	if !s.othersRun {
		result.Items = slices.DeleteFunc(result.Items, isOther)
		return result, err
	}
	for n := range result.Items {
		if isOther(result.Items[n]) {
			result.Items[n].State = container.StateRunning
		}
	}
	return result, err
}

// Stop stops the containers of instances, all at the same moment, after grace if
// it is not nil by force. Hooks of the file run before. Containers of services
// that are no longer in the project are stopped too, without.
func (r *Runtime) Stop(ctx context.Context, instances []string, grace *time.Duration) error {
	refs, err := r.Engine.list(ctx, r.name)
	if err != nil {
		return err
	}
	now := r.present.Load()
	var strangers sync.WaitGroup
	var mu sync.Mutex // guards failed
	var failed []error
	for _, c := range refs {
		if now.services[c.service] != nil || !c.running || !slices.Contains(instances, c.instance) {
			continue
		}
		strangers.Go(func() {
			_, err := r.Engine.api.ContainerStop(ctx, c.id, client.ContainerStopOptions{Timeout: seconds(grace)})
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, err)
		})
	}
	err = now.through(instances, func(service api.Compose, project *types.Project) error {
		return service.Stop(ctx, r.name, api.StopOptions{Project: project, Services: project.ServiceNames(), Timeout: grace})
	})
	strangers.Wait()
	return errors.Join(append(failed, err)...)
}

// seconds is how the engine takes a time.
func seconds(d *time.Duration) *int {
	if d == nil {
		return nil
	}
	whole := int(d.Seconds()) // as Compose has it
	return &whole
}

// Restart restarts the containers of instances, all at the same moment, whether
// they run or not, with the hooks of the file; grace is as with Stop.
func (r *Runtime) Restart(ctx context.Context, instances []string, grace *time.Duration) error {
	now := r.present.Load()
	if err := now.writeShimFiles(instances); err != nil {
		return err
	}
	return now.through(instances, func(service api.Compose, project *types.Project) error {
		return service.Restart(ctx, r.name, api.RestartOptions{Project: project, Services: project.ServiceNames(), Timeout: grace, NoDeps: true})
	})
}

// through calls the SDK with a project of the services of instances, without any
// order, and with nothing else in sight.
func (p *present) through(instances []string, call func(api.Compose, *types.Project) error) error {
	services := p.servicesOf(instances)
	if len(services) == 0 {
		return nil // the SDK would take none for all
	}
	project, err := withoutOrder(p.project).WithSelectedServices(services, types.IgnoreDependencies)
	if err != nil {
		return err
	}
	service, err := p.Engine.service(&some{APIClient: p.Engine.api, instances: instances})
	if err != nil {
		return err
	}
	return call(service, project)
}

// Kill kills the container of an instance.
func (r *Runtime) Kill(ctx context.Context, instance string) error {
	return r.Signal(ctx, instance, syscall.SIGKILL)
}

// Signal sends a signal to the first process of an instance's container.
func (r *Runtime) Signal(ctx context.Context, instance string, sig syscall.Signal) error {
	c, err := r.container(instance)
	if err != nil {
		return err
	}
	if _, err := r.Engine.api.ContainerKill(ctx, c.id, client.ContainerKillOptions{Signal: strconv.Itoa(int(sig))}); err != nil {
		return fmt.Errorf("send signal %d (%s) to %s: %w", int(sig), sig, instance, err)
	}
	return nil
}
