package engine

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/cmd/display"
	"github.com/docker/compose/v5/cmd/prompt"
	"github.com/docker/compose/v5/pkg/api"
	sdk "github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/client"
)

// CreateOptions are those of `docker compose up`.
type CreateOptions struct {
	Services                           []string // targeted; empty = all
	NoBuild, QuietPull, RemoveOrphans  bool
	ForceRecreate, NoRecreate          bool
	RecreateDependencies, RenewVolumes bool
	AssumeYes                          bool
	Timeout                            *time.Duration // of containers that are recreated
	Progress                           io.Writer      // where the progress is shown
	Terminal                           bool           // Progress is one, and may be drawn on
}

// Create makes images, networks, volumes and containers what the project wants,
// as docker compose create does, and stops what an upall that was killed has
// left running: nobody answers its connects any more.
func (r *Runtime) Create(ctx context.Context, o CreateOptions) error {
	if err := r.stopLeftovers(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(r.project.ServiceNames(), r.needsShim) {
		if err := installShim(shimPath); err != nil {
			return err
		}
	}
	confirm := prompt.NewPrompt(r.Engine.cli.In(), r.Engine.cli.Out()).Confirm
	if o.AssumeYes {
		confirm = sdk.AlwaysOkPrompt()
	}
	service, err := r.Engine.service(r.creator(), sdk.WithEventProcessor(progress(o)), sdk.WithPrompt(confirm))
	if err != nil {
		return err
	}
	err = service.Create(ctx, r.creationOrder(), o.forCompose(r.project))
	if err != nil {
		return fmt.Errorf("create the containers: %w", err)
	}
	return r.findContainers(ctx)
}

func progress(o CreateOptions) api.EventProcessor {
	switch {
	case o.Progress == nil:
		return display.Quiet()
	case o.Terminal:
		return display.Full(o.Progress, o.Progress, false)
	}
	return display.Plain(o.Progress)
}

func (o CreateOptions) forCompose(project *types.Project) api.CreateOptions {
	c := api.CreateOptions{
		Services: o.Services, RemoveOrphans: o.RemoveOrphans, QuietPull: o.QuietPull, Timeout: o.Timeout,
		Inherit: !o.RenewVolumes, Recreate: api.RecreateDiverged, RecreateDependencies: api.RecreateDiverged,
	}
	switch {
	case o.NoRecreate:
		c.Recreate, c.RecreateDependencies = api.RecreateNever, api.RecreateNever
	case o.ForceRecreate || o.RenewVolumes:
		c.Recreate = api.RecreateForce
	}
	if o.RecreateDependencies {
		c.RecreateDependencies = api.RecreateForce
	}
	if !o.NoBuild {
		c.Build = &api.BuildOptions{Services: project.ServiceNames(), Deps: true, Quiet: o.QuietPull}
	}
	return c
}

// stopLeftovers stops containers whose notifyFDs ended with an upall that was
// killed: every connect of theirs fails.
func (r *Runtime) stopLeftovers(ctx context.Context) error {
	refs, err := r.Engine.list(ctx, r.Plan.Name)
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	stopped := map[string]bool{}
	for _, c := range refs {
		if !c.running || c.metadata == "" {
			continue
		}
		stopped[c.id] = true
		r.Logger.Warn("stop a container that a killed upall has left", "instance", c.instance)
		work.Go(func() {
			if _, err := r.Engine.api.ContainerStop(ctx, c.id, client.ContainerStopOptions{}); err != nil {
				r.Logger.Warn("stop a container", "instance", c.instance, "error", err)
			}
		})
	}
	work.Wait()
	return r.awaitEnd(ctx, stopped)
}

// awaitEnd waits until the engine lists containers as ended. It answers a stop a
// moment earlier, and Compose would take them for running.
func (r *Runtime) awaitEnd(ctx context.Context, stopped map[string]bool) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	limit := time.After(endPatience)
	for len(stopped) > 0 {
		refs, err := r.Engine.list(ctx, r.Plan.Name)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(refs, func(c ref) bool { return c.running && stopped[c.id] }) {
			return nil
		}
		select {
		case <-again.C:
		case <-limit:
			return nil // one that could not be stopped has been told
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// endPatience is how long the engine may take to list a stopped container as ended.
const endPatience = 5 * time.Second

// findContainers notes the containers that Create has made or found.
func (r *Runtime) findContainers(ctx context.Context) error {
	refs, err := r.Engine.list(ctx, r.Plan.Name)
	if err != nil {
		return err
	}
	for _, c := range refs {
		if r.services[c.service] != nil {
			r.refs[c.instance] = c
		}
	}
	return nil
}
