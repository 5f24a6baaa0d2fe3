package engine

import (
	"maps"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"upall/compose"
)

// needed is the project in which depends_on holds only what the engine needs to
// make or to start a container: whose namespaces and volumes it shares, named by
// a service or by one of the project's own containers.
func (r *planned) needed() *types.Project {
	ordered := compose.Unordered(r.project)
	for name, s := range ordered.Services {
		for _, container := range sharedContainers(s) {
			if target := r.serviceOf(container); target != "" && target != name {
				s.DependsOn = after(s.DependsOn, target)
			}
		}
		ordered.Services[name] = s
	}
	return ordered
}

// creationOrder is the project in which containers are created: after those
// that the engine must know by then, whose namespaces or volumes they share or
// whom they link to. Compose would create along depends_on.
func (r *planned) creationOrder() *types.Project {
	ordered := r.needed()
	for name, s := range ordered.Services {
		for _, link := range s.Links {
			if target := linkTarget(link); r.services[target] != nil {
				s.DependsOn = after(s.DependsOn, target)
			}
		}
		ordered.Services[name] = s
	}
	return ordered
}

// withoutOrder is the project without any dependency.
func withoutOrder(project *types.Project) *types.Project {
	free := compose.Unordered(project)
	for name, s := range free.Services {
		s.DependsOn = nil
		free.Services[name] = s
	}
	return free
}

// after adds a dependency to a copy.
func after(dependencies types.DependsOnConfig, service string) types.DependsOnConfig {
	added := maps.Clone(dependencies)
	if added == nil {
		added = types.DependsOnConfig{}
	}
	added[service] = types.ServiceDependency{Condition: types.ServiceConditionStarted, Required: true}
	return added
}

// sharedContainers lists the containers that a service's share something with,
// where the file names containers.
func sharedContainers(s types.ServiceConfig) []string {
	var names []string
	for _, mode := range []string{s.NetworkMode, s.Ipc, s.Pid} {
		if name, ok := strings.CutPrefix(mode, types.ContainerPrefix); ok {
			names = append(names, name)
		}
	}
	for _, entry := range s.VolumesFrom {
		if rest, ok := strings.CutPrefix(entry, types.ContainerPrefix); ok {
			name, _, _ := strings.Cut(rest, ":") // ":ro" may follow
			names = append(names, name)
		}
	}
	return names
}

// serviceOf returns the service of one of the plan's containers, or "".
func (r *planned) serviceOf(container string) string {
	for name, s := range r.services {
		for _, i := range s.Instances {
			if i.ContainerName == container {
				return name
			}
		}
	}
	return ""
}

// linkTarget is the service that an entry of links names.
func linkTarget(link string) string {
	service, _, _ := strings.Cut(link, ":")
	return service
}
