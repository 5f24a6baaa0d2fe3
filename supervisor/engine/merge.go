package engine

import (
	"maps"

	"github.com/compose-spec/compose-go/v2/types"
)

// MergeProjects adds to a project what another of the same name has and it has
// not, of which only the given services count.
func MergeProjects(project, other *types.Project, services []string) *types.Project {
	merged := *project
	merged.Services = maps.Clone(project.Services)
	for _, name := range services {
		if s, ok := other.Services[name]; ok {
			merged.Services[name] = s
		}
	}
	merged.Networks = added(project.Networks, other.Networks)
	merged.Volumes = added(project.Volumes, other.Volumes)
	merged.Secrets = added(project.Secrets, other.Secrets)
	merged.Configs = added(project.Configs, other.Configs)
	return &merged
}

// added is a map with the entries of another that it lacks.
func added[M ~map[string]V, V any](to, from M) M {
	all := maps.Clone(from)
	if all == nil {
		return to
	}
	maps.Copy(all, to)
	return all
}
