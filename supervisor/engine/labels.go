package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"

	"upall/compose"
)

// Labels of containers.
const (
	// metadataLabel keeps the metadata with which a container hands its notifyFDs
	// over, for as long as the container exists.
	metadataLabel = "dev.upall.metadata"
	// namesLabel is a digest of the names that a container knows. They are given
	// to it when it is created, so it is made anew when they change.
	namesLabel = "dev.upall.names"
)

// label gives services the labels by which Compose knows their containers (its
// own loader does so, which did not load this project), and our own.
func (r *Runtime) label() {
	for name, s := range r.project.Services {
		s.CustomLabels = types.Labels{
			api.ProjectLabel:     r.project.Name,
			api.ServiceLabel:     name,
			api.VersionLabel:     api.ComposeVersion,
			api.WorkingDirLabel:  r.project.WorkingDir,
			api.ConfigFilesLabel: strings.Join(r.project.ComposeFiles, ","),
			api.OneoffLabel:      "False",
		}
		if len(r.EnvFiles) > 0 {
			s.CustomLabels[api.EnvironmentFileLabel] = strings.Join(r.EnvFiles, ",")
		}
		s.Labels = s.Labels.Add(namesLabel, r.digestOfNames(r.services[name]))
		r.project.Services[name] = s
	}
}

func (r *Runtime) digestOfNames(s *compose.Service) string {
	digest := sha256.New()
	if s != nil && len(s.Instances) > 0 {
		for _, h := range r.Plan.Hosts(s, s.Instances[0]) {
			digest.Write(fmt.Appendln(nil, h.Addr, h.Name))
		}
	}
	const length = 8 // bytes; it needs to differ from the last one only
	return hex.EncodeToString(digest.Sum(nil)[:length])
}
