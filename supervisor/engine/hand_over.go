package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"upall/intercept/seccomp"
	"upall/supervisor/engine/profile"
)

// profileHandOver has the engine hand the notifyFDs over: a seccomp profile that
// notifies stands in the place of the container's own, and is as strict.
type profileHandOver struct {
	engineDefault profile.Base
	api           string // the engine's newest version
	filter        seccomp.Filter
	socket        string
	warn          func(message string)
}

// apply leaves a container alone whose profile cannot be merged: what is wrong
// with one the engine says best.
func (h profileHandOver) apply(o *client.ContainerCreateOptions, _ program, metadata string) error {
	base, err := profile.Choose(o.HostConfig.SecurityOpt, o.HostConfig.Privileged, h.api, h.engineDefault)
	var merged []byte
	if err == nil {
		merged, err = profile.Merge(base, h.filter, h.socket, metadata)
	}
	if err != nil {
		h.warn(fmt.Sprintf("its connects are not held: %v", err))
		return nil
	}
	o.HostConfig.SecurityOpt = append(withoutSeccomp(o.HostConfig.SecurityOpt), "seccomp="+string(merged))
	return nil
}

// withoutSeccomp drops the option that says which profile a container has.
func withoutSeccomp(options []string) []string {
	return slices.DeleteFunc(slices.Clone(options), func(o string) bool {
		return strings.HasPrefix(o, "seccomp=") || strings.HasPrefix(o, "seccomp:") // the old form
	})
}
