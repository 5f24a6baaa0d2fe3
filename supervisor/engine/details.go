package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// Details is what the engine knows of a container.
type Details struct {
	ID    string
	State string // created, running, paused, restarting, removing, exited or dead
	Code  int    // of its last end; 0 while it runs

	// OOMKilled: the kernel has killed a process of its last run for its memory.
	OOMKilled bool
	// Started and Finished are of its newest run and of its newest end: while it
	// runs Finished is of the run before. Zero if there is none.
	Started, Finished time.Time
	PID               int    // on the engine's machine; 0 if it does not run
	Restarts          int    // by its restart policy, since somebody started it
	Health            string // starting, healthy, unhealthy; "" without a healthcheck
	Error             string // why it could not be started last, or ""
	// Metadata is what it hands over with; "" if it does not.
	Metadata string
	// RestartsWithEngine: its restart policy has the engine start it with itself.
	RestartsWithEngine bool
	Exposes            bool // its image, or the files, name a TCP port that it listens on
}

// IsRunning tells whether the container runs, or will again by its restart
// policy.
func (d Details) IsRunning() bool {
	switch container.ContainerState(d.State) {
	case container.StateRunning, container.StatePaused, container.StateRestarting:
		return true
	default:
		return false
	}
}

// Details asks the engine for what it knows of an instance's container.
func (r *Runtime) Details(ctx context.Context, instance string) (Details, error) {
	c, err := r.container(instance)
	if err != nil {
		return Details{}, err
	}
	d, err := r.Engine.details(ctx, c.id)
	if err != nil {
		return Details{}, fmt.Errorf("inspect the container of %s: %w", instance, err)
	}
	return d, nil
}

// Running returns the details of the instances whose containers run, or will
// again by their restart policy: also those of services that the project has no
// longer. It finds the containers itself.
func (r *Runtime) Running(ctx context.Context) (map[string]Details, error) {
	all, err := r.all(ctx)
	if err != nil {
		return nil, err
	}
	running := map[string]Details{}
	for c, d := range all {
		if d.IsRunning() {
			running[c.instance] = d
		}
	}
	return running, nil
}

// Over returns the exit codes of the instances that do not run, 0 for one that
// never has.
func (r *Runtime) Over(ctx context.Context) (map[string]int, error) {
	all, err := r.all(ctx)
	if err != nil {
		return nil, err
	}
	codes := map[string]int{}
	for instance := range r.present.Load().refs {
		codes[instance] = 0 // unless it is listed
	}
	for c, d := range all {
		codes[c.instance] = d.Code
	}
	for c, d := range all { // there may be two, while one takes the place of the other
		if d.IsRunning() {
			delete(codes, c.instance)
		}
	}
	return codes, nil
}

// all asks for the details of all containers of the project, also of services that
// it has no longer.
func (r *Runtime) all(ctx context.Context) (map[ref]Details, error) { return r.Engine.all(ctx, r.name) }

// Details asks the engine for what it knows of a project's containers, by instance.
func (e *Engine) Details(ctx context.Context, project string) (map[string]Details, error) {
	all, err := e.all(ctx, project)
	byInstance := map[string]Details{}
	for c, d := range all {
		byInstance[c.instance] = d
	}
	return byInstance, err
}

func (e *Engine) all(ctx context.Context, project string) (map[ref]Details, error) {
	refs, err := e.list(ctx, project)
	if err != nil {
		return nil, err
	}
	var (
		work   sync.WaitGroup
		mu     sync.Mutex // guards all and failed
		all    = map[ref]Details{}
		failed error
	)
	for _, c := range refs {
		work.Go(func() {
			d, err := e.details(ctx, c.id)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				all[c] = d
			case !cerrdefs.IsNotFound(err): // else it was removed since
				failed = fmt.Errorf("inspect the container of %s: %w", c.instance, err)
			}
		})
	}
	work.Wait()
	return all, failed
}

func (e *Engine) details(ctx context.Context, id string) (Details, error) {
	inspected, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return Details{}, err
	}
	return newDetails(inspected.Container), nil
}

func newDetails(c container.InspectResponse) Details {
	d := Details{ID: c.ID, Restarts: c.RestartCount}
	if s := c.State; s != nil {
		d.State, d.Code, d.OOMKilled, d.PID, d.Error = string(s.Status), s.ExitCode, s.OOMKilled, s.Pid, s.Error
		d.Started, d.Finished = engineTime(s.StartedAt), engineTime(s.FinishedAt)
		if s.Health != nil && s.Health.Status != container.NoHealthcheck {
			d.Health = string(s.Health.Status)
		}
	}
	if c.HostConfig != nil {
		policy := c.HostConfig.RestartPolicy
		d.RestartsWithEngine = policy.IsAlways() || policy.IsUnlessStopped()
	}
	if c.Config != nil {
		d.Metadata = c.Config.Labels[metadataLabel]
		for port := range c.Config.ExposedPorts {
			d.Exposes = d.Exposes || port.Proto() == network.TCP
		}
	}
	return d
}

// engineTime reads a time that the engine gives; zero is "0001-01-01T00:00:00Z"
// there, and "" of something that has never been.
func engineTime(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return at
}
