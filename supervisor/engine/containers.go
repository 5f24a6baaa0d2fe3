package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// ref is a container of the project.
type ref struct {
	id, instance, service string
	number                int
	running               bool
	hasShim               bool   // the shim stands in front of its program
	metadata              string // "" in one that does not hand over
	digest, hosts         string // see the labels
}

// list returns the containers of the project's services, without those of run
// and of hooks.
func (e *Engine) list(ctx context.Context, project string) ([]ref, error) {
	found, err := e.api.ContainerList(ctx, client.ContainerListOptions{
		All: true,
		Filters: make(client.Filters).
			Add("label", api.ProjectLabel+"="+project).
			Add("label", api.OneoffLabel+"=False").
			Add("label", api.ConfigHashLabel),
	})
	if err != nil {
		return nil, fmt.Errorf("list the containers of project %q: %w", project, err)
	}
	var refs []ref
	for _, c := range found.Items {
		if r, ok := newRef(c.ID, c.Labels); ok {
			r.running = c.State == container.StateRunning || c.State == container.StateRestarting || c.State == container.StatePaused
			r.hasShim = strings.HasPrefix(c.Command, shimProgram)
			refs = append(refs, r)
		}
	}
	return refs, nil
}

// newRef reads the labels that Compose gives to the container of a service.
func newRef(id string, labels map[string]string) (ref, bool) {
	service := labels[api.ServiceLabel]
	number, err := strconv.Atoi(labels[api.ContainerNumberLabel])
	if service == "" || err != nil || labels[api.OneoffLabel] == "True" {
		return ref{}, false
	}
	return ref{
		id: id, instance: fmt.Sprintf("%s-%d", service, number), service: service, number: number,
		metadata: labels[metadataLabel], digest: labels[digestLabel], hosts: labels[hostsLabel],
	}, true
}

// Checked returns the instances of a project whose containers have a healthcheck,
// of the file or of the image.
func (e *Engine) Checked(ctx context.Context, project string) ([]string, error) {
	refs, err := e.list(ctx, project)
	if err != nil {
		return nil, err
	}
	var checked []string
	for _, c := range refs {
		inspected, err := e.api.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
		if err != nil {
			return nil, fmt.Errorf("inspect the container of %s: %w", c.instance, err)
		}
		if inspected.Container.State != nil && inspected.Container.State.Health != nil {
			checked = append(checked, c.instance)
		}
	}
	return checked, nil
}

// IDs returns the IDs of a project's containers, by instance.
func (e *Engine) IDs(ctx context.Context, project string) (map[string]string, error) {
	refs, err := e.list(ctx, project)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, c := range refs {
		ids[c.instance] = c.id
	}
	return ids, nil
}
