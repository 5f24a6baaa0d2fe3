package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// planContainers plans names, networks and addresses of all containers.
func planContainers(plan *Plan, configs types.Services, networks types.Networks, o PlanOptions) error {
	for n := range plan.Services {
		if s := &plan.Services[n]; inContainers(s, configs) {
			if err := plan.planContainer(s, configs[s.Name], networks); err != nil {
				return err
			}
		}
	}
	for n := range plan.Services {
		s := &plan.Services[n]
		for i := range s.Instances {
			s.Instances[i].Owner = plan.owner(s)
		}
	}
	subnets, err := planSubnets(plan, networks, o)
	if err != nil {
		return err
	}
	for _, net := range subnets {
		if err := net.assign(plan, configs, o.Addresses); err != nil {
			return err
		}
	}
	if err := meet(plan, subnets, o.Kept); err != nil {
		return err
	}
	for _, net := range subnets {
		plan.Networks = append(plan.Networks, net.Network)
	}
	return nil
}

// inContainers: what a provider runs is no container of the engine's.
func inContainers(s *Service, configs types.Services) bool {
	return s.Runtime == Engine && configs[s.Name].Provider == nil
}

// planContainer plans what needs no knowledge of other containers.
func (p *Plan) planContainer(s *Service, config types.ServiceConfig, networks types.Networks) error {
	if err := p.checkShared(config); err != nil {
		return err
	}
	s.Namespace = namespace(config.NetworkMode)
	if config.NetworkMode == "" {
		for _, key := range lookupOrder(config, networks) {
			names := []string{s.Name}
			if network := config.Networks[key]; network != nil {
				names = append(names, network.Aliases...)
			}
			if config.Hostname != "" {
				names = append(names, config.Hostname)
			}
			s.Networks = append(s.Networks, ServiceNetwork{Key: key, Names: unique(names)})
		}
	}
	for i := range s.Instances {
		instance := &s.Instances[i]
		instance.ContainerName = config.ContainerName
		if instance.ContainerName == "" {
			instance.ContainerName = fmt.Sprintf("%s-%s", p.Name, instance.Name)
		}
		for _, network := range s.Networks {
			instance.Endpoints = append(instance.Endpoints, Endpoint{Network: network.Key})
		}
	}
	return nil
}

// lookupOrder lists a service's networks in the order in which the engine's DNS
// looks in them for a name: those that lead outside first, then those with both
// IPv4 and IPv6, then by gw_priority, then by the engine's name. (Compose's
// priority is no part of it.)
func lookupOrder(config types.ServiceConfig, networks types.Networks) []string {
	rank := func(key string) (internal, single int, priority int, name string) {
		network := networks[key]
		if network.Internal {
			internal = 1
		}
		if network.EnableIPv6 == nil || !*network.EnableIPv6 {
			single = 1
		}
		if on := config.Networks[key]; on != nil {
			priority = on.GatewayPriority
		}
		return internal, single, priority, network.Name
	}
	return slices.SortedFunc(maps.Keys(config.Networks), func(a, b string) int {
		internalA, singleA, priorityA, nameA := rank(a)
		internalB, singleB, priorityB, nameB := rank(b)
		return cmp.Or(internalA-internalB, singleA-singleB, cmp.Compare(priorityB, priorityA), cmp.Compare(nameA, nameB), cmp.Compare(a, b))
	})
}

// unique drops what was there before, and keeps the order.
func unique(names []string) []string {
	var once []string
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}

// namespace reads network_mode. The engine's default bridge and networks that
// are not in the file leave a container its own namespace.
func namespace(mode string) string {
	switch {
	case mode == NamespaceHost, mode == NamespaceNone,
		strings.HasPrefix(mode, namespaceService), strings.HasPrefix(mode, namespaceContainer):
		return mode
	}
	return ""
}

// checkShared refuses a container that shares what only containers have with a
// process.
func (p *Plan) checkShared(config types.ServiceConfig) error {
	for _, with := range sharedWith(config) {
		if s := p.service(with.service); s != nil && s.Runtime == Process {
			return fieldErrorf("services."+config.Name+"."+with.key, "service %q runs as a process: it has no container to share", with.service)
		}
	}
	return nil
}

// cutService returns the service of "service:NAME", or "".
func cutService(mode string) string {
	name, ok := strings.CutPrefix(mode, namespaceService)
	if !ok {
		return ""
	}
	return name
}

// service returns a service of the plan, or nil.
func (p *Plan) service(name string) *Service {
	n := slices.IndexFunc(p.Services, func(s Service) bool { return s.Name == name })
	if n < 0 {
		return nil
	}
	return &p.Services[n]
}

// namespaceService returns the service in whose network namespace the
// containers of s are: s itself, or whom network_mode leads to. Nil if the
// plan has no such service.
func (p *Plan) namespaceService(s *Service) *Service {
	for range p.Services { // a cycle would be an error of loading
		name := cutService(s.Namespace)
		if name == "" {
			return s
		}
		if s = p.service(name); s == nil {
			return nil
		}
	}
	return nil
}

// owner returns the instance whose network namespace all containers of s share:
// the first of the service, as Compose has it, or the one whose container is
// named. "" if they have their own, or that of a container of others.
func (p *Plan) owner(s *Service) string {
	if name, ok := strings.CutPrefix(s.Namespace, namespaceContainer); ok {
		return p.ownContainer(name)
	}
	if cutService(s.Namespace) == "" {
		return ""
	}
	target := p.namespaceService(s)
	if target == nil || len(target.Instances) == 0 {
		return ""
	}
	return target.Instances[0].Name
}

func (p *Plan) ownContainer(name string) string {
	for _, s := range p.Services {
		for _, i := range s.Instances {
			if i.ContainerName == name {
				return i.Name
			}
		}
	}
	return ""
}

// containerWarnings names the networks and the services whose names cannot
// resolve before the containers run.
func containerWarnings(plan *Plan, configs types.Services) []string {
	var lines []string
	for _, network := range plan.Networks {
		if !network.Fixed {
			lines = append(lines, fmt.Sprintf("networks.%s: upall can give no addresses in it (%s); a name on it resolves only once its container runs, and connects there are not held",
				network.Key, network.whyNotFixed()))
		}
	}
	mixed := slices.ContainsFunc(plan.Services, func(s Service) bool { return s.Runtime == Process })
	for _, s := range plan.Services {
		mode := configs[s.Name].NetworkMode
		switch {
		case !inContainers(&s, configs):
		case mode != "" && s.Namespace == "":
			lines = append(lines, fmt.Sprintf("services.%s.network_mode: %q is not a network of the file; upall can give no address and no names there", s.Name, mode))
		case mixed && len(s.Networks) > 0 && !hostIn(plan.networksOf(&s)).IsValid():
			lines = append(lines, fmt.Sprintf("services.%s.networks: the project's processes cannot be reached from them (a bridge network of the file is needed)", s.Name))
		}
	}
	return lines
}

func (n Network) whyNotFixed() string {
	switch {
	case n.External:
		return "external, and without a subnet of its maker's choice"
	case !n.ofHost():
		return fmt.Sprintf("driver %s, and no ipam subnet in the file", n.Driver)
	}
	return "its ipam has no IPv4 subnet, or a driver of its own"
}
