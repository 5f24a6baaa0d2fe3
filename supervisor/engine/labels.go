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
	// digestLabel is a digest of what upall gives to a service's containers when
	// they are created, so that they are made anew when it changes.
	digestLabel = "dev.upall.digest"
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
		s.Labels = s.Labels.Add(digestLabel, r.digest(r.services[name]))
		r.project.Services[name] = s
	}
}

// digest is of the names that a container of the service knows, and of its
// hand-over. Addresses are not in it: they stay.
func (r *Runtime) digest(s *compose.Service) string {
	digest := sha256.New()
	if s != nil && len(s.Instances) > 0 {
		digest.Write(fmt.Appendln(nil, r.Socket, filterOf(s)))
		for _, h := range r.Plan.Hosts(s, s.Instances[0]) {
			digest.Write(fmt.Appendln(nil, h.Addr, h.Name))
		}
	}
	const length = 8 // bytes; it needs to differ from the last one only
	return hex.EncodeToString(digest.Sum(nil)[:length])
}
