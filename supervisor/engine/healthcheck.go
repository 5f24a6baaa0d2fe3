package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"upall/compose"
)

// Healthcheck returns the healthcheck of an instance's container, of the file or
// of the image, with Docker's defaults; nil if it has none.
func (r *Runtime) Healthcheck(ctx context.Context, instance string) (*compose.Healthcheck, error) {
	c, err := r.container(instance)
	if err != nil {
		return nil, err
	}
	inspected, err := r.Engine.api.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("inspect the container of %s: %w", instance, err)
	}
	return healthcheckOf(inspected.Container.Config), nil
}

func healthcheckOf(c *container.Config) *compose.Healthcheck {
	if c == nil || c.Healthcheck == nil {
		return nil
	}
	from := c.Healthcheck
	h := compose.Healthcheck{
		Interval: from.Interval, Timeout: from.Timeout, Retries: from.Retries,
		StartPeriod: from.StartPeriod, StartInterval: from.StartInterval,
	}
	shell := compose.DefaultShell()
	if len(c.Shell) > 0 {
		shell = c.Shell
	}
	if !h.ParseTest(from.Test, shell) {
		return nil
	}
	if h.Shell != "" && len(c.Shell) > 0 {
		h.Test, h.Shell = append(slices.Clone(c.Shell), h.Shell), ""
	}
	h = h.WithDefaults()
	return &h
}
