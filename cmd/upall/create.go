package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/supervisor/engine"
)

// createFlags are the flags of `upall up` that say how containers are made, as
// `docker compose up` has them.
type createFlags struct {
	build, noBuild, quietPull     bool
	pull                          string
	scale                         []string
	forceRecreate, noRecreate     bool
	recreateDeps, renewVolumes    bool
	removeOrphans, noStart, isYes bool
}

func (c *createFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&c.build, "build", false, "build images before starting containers")
	f.BoolVar(&c.noBuild, "no-build", false, "build no image, even if one is missing")
	f.StringVar(&c.pull, "pull", "", "pull images `always`, missing or never; else as pull_policy says")
	f.BoolVar(&c.quietPull, "quiet-pull", false, "pull without showing the progress")
	f.StringArrayVar(&c.scale, "scale", nil, "run NUM instances of a service: `SERVICE=NUM`; may be given several times")
	f.BoolVar(&c.forceRecreate, "force-recreate", false, "recreate containers even if nothing has changed")
	f.BoolVar(&c.noRecreate, "no-recreate", false, "keep existing containers even if something has changed")
	f.BoolVar(&c.recreateDeps, "always-recreate-deps", false, "recreate containers that the named services depend on")
	f.BoolVarP(&c.renewVolumes, "renew-anon-volumes", "V", false, "make anonymous volumes anew instead of keeping their data")
	f.BoolVar(&c.removeOrphans, "remove-orphans", false, "remove containers of services that the file does not have")
	f.BoolVar(&c.noStart, "no-start", false, "create containers without starting them")
	f.BoolVarP(&c.isYes, "yes", "y", false, "answer every question with yes")
}

func (c *createFlags) validate() error {
	switch {
	case c.build && c.noBuild:
		return errors.New("--build and --no-build contradict each other")
	case c.forceRecreate && c.noRecreate:
		return errors.New("--force-recreate and --no-recreate contradict each other")
	case c.renewVolumes && c.noRecreate:
		return errors.New("--renew-anon-volumes and --no-recreate contradict each other")
	case c.recreateDeps && c.noRecreate:
		return errors.New("--always-recreate-deps and --no-recreate contradict each other")
	case c.pull != "" && !slices.Contains(pullPolicies, c.pull):
		return fmt.Errorf("--pull %s: unknown (known: %s)", c.pull, strings.Join(pullPolicies, ", "))
	}
	return nil
}

var pullPolicies = []string{types.PullPolicyAlways, types.PullPolicyMissing, types.PullPolicyNever, types.PullPolicyBuild}

// scales reads --scale.
func (c *createFlags) scales() (map[string]int, error) {
	all := map[string]int{}
	for _, s := range c.scale {
		name, number, ok := strings.Cut(s, "=")
		n, err := strconv.Atoi(number)
		if !ok || name == "" || err != nil {
			return nil, fmt.Errorf("--scale %s: not SERVICE=NUM", s)
		}
		all[name] = n
	}
	return all, nil
}

// apply has the project pull and build as the flags say.
func (c *createFlags) apply(project *types.Project) {
	for name, s := range project.Services {
		if c.pull != "" {
			s.PullPolicy = c.pull
		}
		if c.build && s.Build != nil {
			s.PullPolicy = types.PullPolicyBuild
		}
		project.Services[name] = s
	}
}

func (c *createFlags) options(cmd *cobra.Command, services []string) engine.CreateOptions {
	return engine.CreateOptions{
		Services: services, NoBuild: c.noBuild, QuietPull: c.quietPull, RemoveOrphans: c.removeOrphans,
		ForceRecreate: c.forceRecreate, NoRecreate: c.noRecreate, RecreateDependencies: c.recreateDeps,
		RenewVolumes: c.renewVolumes, AssumeYes: c.isYes,
		Progress: cmd.ErrOrStderr(), Terminal: cmd.ErrOrStderr() == os.Stderr && isTerminal(os.Stderr),
	}
}
