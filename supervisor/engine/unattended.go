package engine

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

// Unattended returns the instances of a project whose containers run under a filter
// that notifies, for who knows that there is no supervisor to answer.
func (e *Engine) Unattended(ctx context.Context, project string) (instances []string, err error) {
	refs, err := e.unattended(ctx, project)
	for _, c := range refs {
		instances = append(instances, c.instance)
	}
	slices.Sort(instances)
	return instances, err
}

func (e *Engine) unattended(ctx context.Context, project string) ([]ref, error) {
	refs, err := e.list(ctx, project)
	return slices.DeleteFunc(refs, func(c ref) bool { return !c.running || c.metadata == "" }), err
}

// StopUnattended stops the containers that Unattended tells of, for every connect of
// theirs fails, and returns their instances. One that it cannot stop is logged.
func (e *Engine) StopUnattended(ctx context.Context, project string, log *slog.Logger) (instances map[string]bool, err error) {
	refs, err := e.unattended(ctx, project)
	if err != nil {
		return nil, err
	}
	var work sync.WaitGroup
	stopped := map[string]bool{}
	instances = map[string]bool{}
	for _, c := range refs {
		stopped[c.id], instances[c.instance] = true, true
		log.Warn("stop a container whose connects nobody answers", "instance", c.instance)
		work.Go(func() {
			if _, err := e.api.ContainerStop(ctx, c.id, client.ContainerStopOptions{}); err != nil {
				log.Warn("stop a container", "instance", c.instance, "error", err)
			}
		})
	}
	work.Wait()
	return instances, e.awaitEnd(ctx, project, stopped)
}

// awaitEnd waits until the engine lists containers as ended. It answers a stop a
// moment earlier, and Compose would take them for running.
func (e *Engine) awaitEnd(ctx context.Context, project string, stopped map[string]bool) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	limit := time.After(endPatience)
	for len(stopped) > 0 {
		refs, err := e.list(ctx, project)
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
