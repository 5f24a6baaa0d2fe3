package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
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
	// hostsLabel keeps the names that a container was given, with their addresses:
	// "name:address", with a space between.
	hostsLabel = "dev.upall.hosts"
)

// label gives services the labels by which Compose knows their containers (its
// own loader does so, which did not load this project), and our own.
func (r *planned) label() {
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
// hand-over.
func (r *planned) digest(s *compose.Service) string {
	digest, handOver := sha256.New(), ""
	if s != nil && len(s.Instances) > 0 {
		handOver = r.handOverDigest(s)
		for _, h := range r.Plan.Hosts(s, s.Instances[0]) {
			digest.Write(fmt.Appendln(nil, h.Addr, h.Name))
		}
	}
	return handOver + short(digest)
}

func (r *planned) handOverDigest(s *compose.Service) string {
	digest := sha256.New()
	digest.Write(fmt.Appendln(nil, r.Socket, filterOf(s)))
	return short(digest)
}

// short needs to differ from the last one only.
func short(digest hash.Hash) string {
	const length = 8
	return hex.EncodeToString(digest.Sum(nil)[:length])
}

// keepDigests has services keep the containers that they have, where all that those
// know still holds: a name that has come since is told to them by the engine's DNS,
// once its container runs.
func (r *planned) keepDigests(have []ref) {
	for name, s := range r.project.Services {
		service := r.services[name]
		if service == nil {
			continue
		}
		digest, keeps := "", true
		for _, c := range have {
			if c.service != name {
				continue
			}
			same := digest == "" || digest == c.digest
			keeps = keeps && same && strings.HasPrefix(c.digest, r.handOverDigest(service)) && r.stillHolds(service, c)
			digest = c.digest
		}
		if keeps && digest != "" {
			s.Labels = s.Labels.Add(digestLabel, digest)
			r.project.Services[name] = s
		}
	}
}

// stillHolds tells whether the names that a container was given lead to where they
// are planned, or to nobody any more.
func (r *planned) stillHolds(s *compose.Service, c ref) bool {
	n := slices.IndexFunc(s.Instances, func(i compose.Instance) bool { return i.Index == c.number })
	if n < 0 {
		return true // it is about to go
	}
	planned, taken := map[string][]string{}, map[string]bool{}
	for _, h := range r.Plan.Hosts(s, s.Instances[n]) {
		planned[h.Name], taken[h.Addr.String()] = append(planned[h.Name], h.Addr.String()), true
	}
	for entry := range strings.FieldsSeq(c.hosts) {
		name, addr, _ := strings.Cut(entry, ":")
		is, ok := planned[name]
		if ok && !slices.Contains(is, addr) || !ok && taken[addr] {
			return false
		}
	}
	return true
}
