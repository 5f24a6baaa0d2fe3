package compose

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// gates turns depends_on into gates. overrides are x-upall.gates.
func gates(project *types.Project, config types.ServiceConfig, overrides map[string]GateKind) ([]Gate, error) {
	var all []Gate
	for _, name := range slices.Sorted(maps.Keys(config.DependsOn)) {
		entry := config.DependsOn[name]
		dependency, ok := project.Services[name]
		if !ok && !entry.Required {
			continue
		}
		path := "services." + config.Name + ".depends_on." + name
		if !ok {
			return nil, fieldErrorf(path, "the project has no such service")
		}
		_, overridden := overrides[name]
		if implied(config, name, entry) && !overridden {
			continue
		}
		gate := Gate{Service: name, Condition: Condition(entry.Condition), Kind: GateConnect, Required: entry.Required, Restart: entry.Restart}
		switch gate.Condition {
		case "":
			gate.Condition = Started
		case Started, Healthy:
		case Completed:
			if shareFiles(project, config, dependency) {
				gate.Kind = GateStart
			}
		default:
			return nil, fieldErrorf(path+".condition", "%q is not allowed (allowed: %s, %s, %s)", entry.Condition, Started, Healthy, Completed)
		}
		if overridden {
			gate.Kind = overrides[name]
		}
		all = append(all, gate)
	}
	return all, nil
}

// implied reports whether compose-go made this entry of links, or of a
// namespace that containers share (network_mode: service:db): those need no
// order here. Entries that ask for more than that are the user's own.
func implied(config types.ServiceConfig, name string, entry types.ServiceDependency) bool {
	if entry.Condition != types.ServiceConditionStarted || !entry.Restart || !entry.Required {
		return false
	}
	for _, link := range config.Links {
		if service, _, _ := strings.Cut(link, ":"); service == name {
			return true
		}
	}
	shared := []string{config.NetworkMode, config.Ipc, config.Pid, config.Uts, config.Cgroup}
	return slices.Contains(shared, types.ServicePrefix+name)
}

// shareFiles reports whether a service may read what a job writes: both mount the
// same named volume, or host paths of which one lies within the other.
func shareFiles(project *types.Project, service, job types.ServiceConfig) bool {
	for _, left := range service.Volumes {
		for _, right := range job.Volumes {
			if left.Source == "" || left.Type != right.Type || right.ReadOnly {
				continue
			}
			switch left.Type {
			case types.VolumeTypeVolume:
				if volumeName(project, left.Source) == volumeName(project, right.Source) {
					return true
				}
			case types.VolumeTypeBind:
				if within(left.Source, right.Source) || within(right.Source, left.Source) {
					return true
				}
			}
		}
	}
	return false
}

// volumeName is the engine's name of a volume: two keys may name the same one.
func volumeName(project *types.Project, key string) string {
	if name := project.Volumes[key].Name; name != "" {
		return name
	}
	return key
}

// within reports whether an absolute path is dir or lies below it.
func within(path, dir string) bool {
	path, dir = strings.TrimRight(path, "/"), strings.TrimRight(dir, "/")
	return path == dir || strings.HasPrefix(path, dir+"/")
}
