package engine

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// placement is what upall gives to a container besides what Compose asks for.
type placement struct {
	addresses map[string]addresses // by the engine's name of the network
	hosts     []string             // "name:address", as HostConfig.ExtraHosts has them
	handOver  handOver             // nil: connects of the container are not intercepted
	metadata  string               // of the hand-over
}

// addresses are the fixed ones of a container in a network; zero ones are left
// to the engine.
type addresses struct{ v4, v6 netip.Addr }

// handOver makes a container hand its notifyFDs over.
type handOver interface {
	// apply changes what the container is created with. The image's command is
	// what runs where the service has none of its own.
	apply(o *client.ContainerCreateOptions, image program, metadata string) error
}

// program is what an image runs.
type program struct{ entrypoint, args []string }

// apply changes the options with which Compose creates a container. They are
// changed in a copy as far as they are shared with anyone.
func (p placement) apply(o *client.ContainerCreateOptions, image program) error {
	if o.NetworkingConfig != nil {
		for name, endpoint := range o.NetworkingConfig.EndpointsConfig {
			p.addresses[name].fix(endpoint)
		}
	}
	if !o.HostConfig.NetworkMode.IsContainer() {
		o.HostConfig.ExtraHosts = addHosts(o.HostConfig.ExtraHosts, p.hosts)
	}
	if o.Config.Labels = maps.Clone(o.Config.Labels); o.Config.Labels == nil {
		o.Config.Labels = map[string]string{}
	}
	if len(p.hosts) > 0 {
		o.Config.Labels[hostsLabel] = strings.Join(p.hosts, " ")
	}
	if p.handOver == nil {
		return nil
	}
	o.Config.Labels[metadataLabel] = p.metadata
	return p.handOver.apply(o, image, p.metadata)
}

// fix gives an endpoint its addresses, but for those that the user gave it.
func (a addresses) fix(endpoint *network.EndpointSettings) {
	if endpoint == nil || (!a.v4.IsValid() && !a.v6.IsValid()) {
		return
	}
	if endpoint.IPAMConfig == nil {
		endpoint.IPAMConfig = &network.EndpointIPAMConfig{}
	}
	if !endpoint.IPAMConfig.IPv4Address.IsValid() {
		endpoint.IPAMConfig.IPv4Address = a.v4
	}
	if !endpoint.IPAMConfig.IPv6Address.IsValid() {
		endpoint.IPAMConfig.IPv6Address = a.v6
	}
}

// addHosts adds entries whose names the user has not defined.
func addHosts(users, ours []string) []string {
	defined := map[string]bool{}
	for _, entry := range users {
		name, _, _ := strings.Cut(entry, ":")
		defined[name] = true
	}
	all := slices.Clone(users)
	for _, entry := range ours {
		if name, _, _ := strings.Cut(entry, ":"); !defined[name] {
			all = append(all, entry)
		}
	}
	return all
}

// whole returns what a container runs, given its configuration and what its
// image runs, as the engine merges them: an entrypoint of its own drops the
// image's arguments too, and one that is a single empty string stands for none.
func whole(config *container.Config, image program) program {
	p := program{config.Entrypoint, config.Cmd}
	if len(p.entrypoint) == 1 && p.entrypoint[0] == "" {
		return program{nil, p.args}
	}
	if len(p.entrypoint) > 0 {
		return p
	}
	if p.entrypoint == nil {
		p.entrypoint = image.entrypoint
	}
	if len(p.args) == 0 {
		p.args = image.args
	}
	return p
}
