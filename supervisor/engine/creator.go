package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"upall/compose"
	"upall/intercept/seccomp"
)

// creator is an API client on which the Compose SDK creates containers: each of
// the plan's gets its placement on the way.
type creator struct {
	client.APIClient
	of *creation

	mu      sync.Mutex           // guards created
	created map[string]placement // by the container's ID
}

func (r *creation) creator() *creator {
	return &creator{APIClient: r.Engine.api, of: r, created: map[string]placement{}}
}

// ContainerCreate creates a container with its placement. Those of run and of
// hooks have none.
func (c *creator) ContainerCreate(ctx context.Context, o client.ContainerCreateOptions) (client.ContainerCreateResult, error) {
	made, ok := newRef("", o.Config.Labels)
	service := c.of.services[made.service]
	if !ok || service == nil {
		return c.APIClient.ContainerCreate(ctx, o)
	}
	o.Config.Labels[api.DependenciesLabel] = c.of.dependencies(made.service)
	place := c.of.place(service, made)
	image, err := c.imageProgram(ctx, made.service, o.Config.Image)
	if err == nil {
		err = place.apply(&o, image)
	}
	if err != nil {
		return client.ContainerCreateResult{}, fmt.Errorf("service %q: %w", made.service, err)
	}
	result, err := c.APIClient.ContainerCreate(context.WithoutCancel(ctx), o)
	if err != nil {
		return result, fmt.Errorf("service %q: %w", made.service, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.created[result.ID] = place
	return result, nil
}

// NetworkCreate and VolumeCreate, as ContainerCreate, wait for the engine's answer
// even if another creation has failed: the engine goes on anyway, and a `down`
// that came before it would leave the network behind.
func (c *creator) NetworkCreate(ctx context.Context, name string, o client.NetworkCreateOptions) (client.NetworkCreateResult, error) {
	ctx = context.WithoutCancel(ctx)
	return overRules(func() (client.NetworkCreateResult, error) { return c.APIClient.NetworkCreate(ctx, name, o) })
}

// VolumeCreate creates a volume.
func (c *creator) VolumeCreate(ctx context.Context, o client.VolumeCreateOptions) (client.VolumeCreateResult, error) {
	return c.APIClient.VolumeCreate(context.WithoutCancel(ctx), o)
}

// ImagePull names the image and its services in an error: registries do not always.
func (c *creator) ImagePull(ctx context.Context, image string, o client.ImagePullOptions) (client.ImagePullResponse, error) {
	response, err := c.APIClient.ImagePull(ctx, image, o)
	if err == nil {
		return response, nil
	}
	var services []string
	for name, s := range c.of.project.Services {
		if s.Image == image {
			services = append(services, strconv.Quote(name))
		}
	}
	slices.Sort(services)
	return response, fmt.Errorf("service %s: pull image %s: %w", strings.Join(services, ", "), image, err)
}

// NetworkConnect is how containers join further networks of engines that take
// one at creation.
func (c *creator) NetworkConnect(ctx context.Context, name string, o client.NetworkConnectOptions) (client.NetworkConnectResult, error) {
	c.mu.Lock()
	place := c.created[o.Container]
	c.mu.Unlock()
	place.addresses[name].fix(o.EndpointConfig)
	return c.APIClient.NetworkConnect(ctx, name, o)
}

// imageProgram asks what an image runs, where that is needed.
func (c *creator) imageProgram(ctx context.Context, service, image string) (program, error) {
	if !c.of.needsShim(service) {
		return program{}, nil
	}
	inspected, err := c.APIClient.ImageInspect(ctx, image)
	if err != nil {
		return program{}, fmt.Errorf("inspect image %s: %w", image, err)
	}
	if inspected.Config == nil {
		return program{}, nil
	}
	return program{inspected.Config.Entrypoint, inspected.Config.Cmd}, nil
}

// dependencies is what Compose's label says of depends_on: the project that the
// SDK creates from has lost it (see needed).
func (r *creation) dependencies(service string) string {
	var entries []string
	for name, d := range r.project.Services[service].DependsOn {
		entries = append(entries, fmt.Sprintf("%s:%s:%t", name, d.Condition, d.Restart))
	}
	slices.Sort(entries)
	return strings.Join(entries, ",")
}

// place decides on the placement of a container.
func (r *creation) place(s *compose.Service, of ref) placement {
	p := placement{addresses: map[string]addresses{}}
	n := slices.IndexFunc(s.Instances, func(i compose.Instance) bool { return i.Index == of.number })
	if n < 0 {
		return p // one that the plan does not know is left to the engine
	}
	i := s.Instances[n]
	for _, e := range i.Endpoints {
		p.addresses[r.networkName(e.Network)] = addresses{e.Addr, e.Addr6}
	}
	for _, h := range r.Plan.Hosts(s, i) {
		p.hosts = append(p.hosts, h.Name+":"+h.Addr.String())
	}
	if r.Socket == "" {
		return p
	}
	if r.needsShim(s.Name) {
		p.metadata, p.handOver = seccomp.ShimMetadata(), r.shimOf(i.Name)
		return p
	}
	p.metadata = seccomp.EngineMetadata()
	p.handOver = profileHandOver{
		engineDefault: r.profile, api: r.Engine.newest, filter: filterOf(s), socket: r.Socket,
		warn: func(message string) { r.Warn(s.Name, message) },
	}
	return p
}

func (r *creation) networkName(key string) string {
	for _, n := range r.Plan.Networks {
		if n.Key == key {
			return n.Name
		}
	}
	return key
}
