package compose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// LabelManaged is a label on the containers and networks that upall makes. As
// it is part of the configuration that Compose compares, containers of plain
// docker compose and of upall replace each other.
const LabelManaged = "dev.upall.managed"

// Rewrite returns the project for the Compose SDK: its containers alone, and
// the networks with the subnets of the plan. What a service says is as it was
// but for the label, the number of its instances and what led to processes: its
// hash depends on no other service and no address. The project given is not
// changed.
func Rewrite(project *types.Project, plan *Plan) *types.Project {
	copied := deepCopy(project)
	for _, s := range plan.Services {
		if s.Runtime == Process {
			delete(copied.Services, s.Name)
		}
	}
	for name, service := range copied.Services {
		if s := plan.service(name); s != nil && service.GetScale() != len(s.Instances) {
			service = withScale(service, len(s.Instances))
		}
		withoutProcesses(plan, &service)
		service.Labels = service.Labels.Add(LabelManaged, "1")
		copied.Services[name] = service
	}
	copied = copied.WithoutUnnecessaryResources()
	for _, network := range plan.Networks {
		if config, ok := copied.Networks[network.Key]; ok && network.Fixed && !network.External {
			copied.Networks[network.Key] = withSubnets(config, network)
		}
	}
	return copied
}

// deepCopy copies a project with all that it refers to.
func deepCopy(project *types.Project) *types.Project {
	copied, err := project.WithServicesTransform(func(_ string, s types.ServiceConfig) (types.ServiceConfig, error) { return s, nil })
	if err != nil {
		panic(fmt.Sprintf("copy a project: %v", err)) // the only error there is comes from the function
	}
	return copied
}

// withoutProcesses drops what leads to processes, of which the SDK knows
// nothing.
func withoutProcesses(plan *Plan, service *types.ServiceConfig) {
	isProcess := func(name string) bool {
		s := plan.service(name)
		return s != nil && s.Runtime == Process
	}
	for name := range service.DependsOn {
		if isProcess(name) {
			delete(service.DependsOn, name)
		}
	}
	service.Links = slices.DeleteFunc(service.Links, func(link string) bool {
		name, _, _ := strings.Cut(link, ":")
		return isProcess(name)
	})
}

// withSubnets adds the subnets that upall chose to what the user says.
func withSubnets(config types.NetworkConfig, network Network) types.NetworkConfig {
	users, err := readIPAM("", config.Ipam)
	if err != nil {
		return config // NewPlan has refused it
	}
	pools := slices.Clone(config.Ipam.Config)
	for _, prefix := range network.Subnets {
		if slices.Contains(users.subnets, prefix) {
			continue
		}
		pool := &types.IPAMPool{Subnet: prefix.String(), Gateway: prefix.Addr().Next().String()}
		if prefix.Addr().Is4() && network.DynamicRange.IsValid() {
			// The gateway is named, for the engine would take it from the range.
			pool.IPRange = network.DynamicRange.String()
		}
		pools = append(pools, pool)
	}
	if len(pools) > len(config.Ipam.Config) {
		config.Ipam.Config = pools
		config.Labels = config.Labels.Add(LabelManaged, "1")
	}
	return config
}

// Unordered returns a copy of a project in which depends_on holds only what the
// engine itself needs to make or start a container: whose namespaces and
// volumes it shares.
func Unordered(project *types.Project) *types.Project {
	copied := deepCopy(project)
	for name, service := range copied.Services {
		var needed types.DependsOnConfig
		for _, with := range sharedWith(service) {
			if _, ok := copied.Services[with.service]; !ok {
				continue
			}
			if needed == nil {
				needed = types.DependsOnConfig{}
			}
			needed[with.service] = types.ServiceDependency{Condition: types.ServiceConditionStarted, Required: true}
		}
		service.DependsOn = needed
		copied.Services[name] = service
	}
	return copied
}

// sharing is a service that a container shares something with.
type sharing struct{ key, service string }

// sharedWith lists the services without whose containers one of this service
// cannot be made.
func sharedWith(config types.ServiceConfig) []sharing {
	var shared []sharing
	for _, mode := range []sharing{{"network_mode", config.NetworkMode}, {"ipc", config.Ipc}, {"pid", config.Pid}} {
		if name := cutService(mode.service); name != "" {
			shared = append(shared, sharing{mode.key, name})
		}
	}
	for i, entry := range config.VolumesFrom {
		if !strings.HasPrefix(entry, types.ContainerPrefix) {
			name, _, _ := strings.Cut(entry, ":")
			shared = append(shared, sharing{"volumes_from[" + strconv.Itoa(i) + "]", name})
		}
	}
	return shared
}
