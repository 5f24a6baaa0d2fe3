package compose

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// DependencyKind says by which key of the file a dependency is declared.
type DependencyKind string

// The kinds of dependencies.
const (
	DependsOn   DependencyKind = "depends_on"
	Link        DependencyKind = "links"
	NetworkMode DependencyKind = "network_mode"
	IPC         DependencyKind = "ipc"
	PID         DependencyKind = "pid"
	VolumesFrom DependencyKind = "volumes_from"
	SharedMount DependencyKind = "volumes" // both mount it: the pair is in the order of their names
)

// Dependency is one thing that the files declare between two services.
type Dependency struct {
	Client string         `json:"client"`
	Target string         `json:"target"`
	Kind   DependencyKind `json:"kind"`
	// Of DependsOn alone.
	Condition Condition `json:"condition,omitempty"`
	Required  bool      `json:"required,omitempty"`
	Restart   bool      `json:"restart,omitempty"`
	// Detail is the volume or the directory of SharedMount, and the name of a Link
	// where it is not the service's.
	Detail string `json:"detail,omitempty"`
}

// Dependencies returns what the services of a loaded project declare between them,
// sorted by client, target, kind and detail. Services that no profile enables are
// not among them.
func Dependencies(project *types.Project) []Dependency {
	var all []Dependency
	for name, config := range project.Services {
		own := referrals(name, config)
		for target, d := range config.DependsOn {
			// The loader adds such an entry for each other key.
			implied := slices.ContainsFunc(own, func(o Dependency) bool { return o.Target == target })
			if condition := Condition(d.Condition); !implied || condition != Started {
				own = append(own, Dependency{name, target, DependsOn, condition, d.Required, d.Restart, ""})
			}
		}
		all = append(all, own...)
	}
	all = append(all, sharedMounts(project)...)
	all = slices.DeleteFunc(all, func(d Dependency) bool {
		_, known := project.Services[d.Target]
		return !known
	})
	slices.SortFunc(all, func(a, b Dependency) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Detail, b.Detail))
	})
	return slices.Compact(all)
}

// referrals are the dependencies that a service declares by other keys than
// depends_on.
func referrals(name string, config types.ServiceConfig) (all []Dependency) {
	for kind, value := range map[DependencyKind]string{NetworkMode: config.NetworkMode, IPC: config.Ipc, PID: config.Pid} {
		if target, is := strings.CutPrefix(value, types.ServicePrefix); is {
			all = append(all, Dependency{Client: name, Target: target, Kind: kind})
		}
	}
	for _, link := range config.Links {
		target, alias, _ := strings.Cut(link, ":")
		if alias == target {
			alias = ""
		}
		all = append(all, Dependency{Client: name, Target: target, Kind: Link, Detail: alias})
	}
	for _, from := range config.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			target, _, _ := strings.Cut(from, ":")
			all = append(all, Dependency{Client: name, Target: target, Kind: VolumesFrom})
		}
	}
	return all
}

// sharedMounts are the pairs of services that mount the same volume or directory,
// and one of which at least may write there: code that all read relates nobody.
func sharedMounts(project *types.Project) (all []Dependency) {
	users, writers := map[string][]string{}, map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		for source, writes := range mounts(project, project.Services[name]) {
			users[source] = append(users[source], name)
			if writes {
				writers[source] = append(writers[source], name)
			}
		}
	}
	for source, names := range users {
		for n, client := range names {
			for _, target := range names[n+1:] {
				if slices.Contains(writers[source], client) || slices.Contains(writers[source], target) {
					all = append(all, Dependency{Client: client, Target: target, Kind: SharedMount, Detail: source})
				}
			}
		}
	}
	return all
}

// mounts are the volumes and directories that a service mounts, and whether it may
// write there.
func mounts(project *types.Project, config types.ServiceConfig) map[string]bool {
	all := map[string]bool{}
	for _, v := range config.Volumes {
		source := v.Source
		if v.Type != types.VolumeTypeVolume && v.Type != types.VolumeTypeBind || source == "" {
			continue
		}
		if v.Type == types.VolumeTypeBind {
			source = relativeTo(project.WorkingDir, source)
		}
		all[source] = all[source] || !v.ReadOnly
	}
	return all
}

// relativeTo names a file below dir as the compose file may have done.
func relativeTo(dir, path string) string {
	relative, err := filepath.Rel(dir, path)
	if err != nil || strings.HasPrefix(relative, "..") {
		return path
	}
	return "./" + relative
}
