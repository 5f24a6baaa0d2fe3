package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/cmd/display"
	"github.com/docker/compose/v5/cmd/prompt"
	"github.com/docker/compose/v5/pkg/api"
	sdk "github.com/docker/compose/v5/pkg/compose"

	"upall/supervisor/engine/profile"
)

// CreateOptions are those of `docker compose up`.
type CreateOptions struct {
	Services                           []string // targeted; empty = all
	NoBuild, QuietPull, RemoveOrphans  bool
	ForceRecreate, NoRecreate          bool
	RecreateDependencies, RenewVolumes bool
	AssumeYes                          bool
	Timeout                            *time.Duration // of containers that are recreated
	// Fresh: nobody runs the project. Containers of it that run and hand over are
	// left from a run that was killed, and are stopped: nobody answers their
	// connects.
	Fresh    bool
	Progress io.Writer // where the progress is shown
	Terminal bool      // Progress is one, and may be drawn on
}

// creation makes the containers of a project.
type creation struct {
	planned
	profile profile.Base // that the engine gives where none is asked
}

// newCreation prepares a creation. It changes nothing.
func newCreation(c Config) (*creation, error) {
	r := &creation{planned: newPlanned(c)}
	if c.Socket == "" {
		return r, nil
	}
	if err := c.Engine.NotLocal(); err != nil && !c.HasAgent {
		return nil, fmt.Errorf("hold the connects of containers: %w (UPALL_INTERCEPT=off starts them without)", err)
	}
	var err error
	r.profile, err = profile.EngineDefault(c.Engine.info.Info.SecurityOptions, c.Engine.newest)
	return r, err
}

// Create makes images, networks, volumes and containers what the project wants,
// as docker compose create does. Containers that run and are as they should be
// are left alone.
func Create(ctx context.Context, c Config, o CreateOptions) error {
	r, err := newCreation(c)
	if err != nil {
		return err
	}
	if o.Fresh {
		if _, err := r.Engine.StopUnattended(ctx, r.Plan.Name, r.Logger); err != nil {
			return err
		}
	}
	have, err := r.Engine.list(ctx, r.Plan.Name)
	if err != nil {
		return err
	}
	r.keepDigests(have)
	if !r.HasAgent && slices.ContainsFunc(r.project.ServiceNames(), r.needsShim) {
		if err := installShim(r.shimPath()); err != nil {
			return err
		}
	}
	return r.create(ctx, o)
}

// create has the SDK do its part.
func (r *creation) create(ctx context.Context, o CreateOptions) error {
	confirm := prompt.NewPrompt(r.Engine.cli.In(), r.Engine.cli.Out()).Confirm
	if o.AssumeYes {
		confirm = sdk.AlwaysOkPrompt()
	}
	service, err := r.Engine.service(r.creator(), sdk.WithEventProcessor(progress(o)), sdk.WithPrompt(confirm))
	if err != nil {
		return err
	}
	if err := service.Create(ctx, r.creationOrder(), o.forCompose(r.project)); err != nil {
		return fmt.Errorf("create the containers: %w", err)
	}
	return nil
}

// needsShim tells whether the engine does not hand the notifyFDs of the service's
// containers over itself.
func (r *creation) needsShim(service string) bool {
	if r.Socket == "" {
		return false
	}
	_, err := profile.Choose(nil, r.project.Services[service].Privileged, r.Engine.newest, r.profile)
	return !r.Engine.HasListenerPath() || errors.Is(err, profile.ErrPrivileged)
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
