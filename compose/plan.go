package compose

import (
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// defaultStopGrace is Compose's own default for stop_grace_period.
const defaultStopGrace = 10 * time.Second

// PlanOptions are the inputs of NewPlan beside the project.
type PlanOptions struct {
	Runtime     Runtime       // --runtime: wins over the files; "" = as they say
	HoldTimeout time.Duration // --hold-timeout: wins over the files; 0 = as they say
	// Prefix is an IPv4 loopback prefix for the addresses of processes, as
	// 127.64.0.0/20. It may be zero if the project has no process.
	Prefix  netip.Prefix
	Sources *Sources       // of Load, so that errors name file and line; may be nil
	Scale   map[string]int // --scale: instances by service; wins over the files
	// Kept are the project's processes that run already, by name: they keep their
	// addresses where they can, and no other process gets those.
	Kept map[string]Instance

	// What the engine has already. Plans are the same over runs if these are.
	Networks map[string]ExistingNetwork // by the engine's name
	// Addresses are those that the project's containers have, by the container's
	// and the engine's network's name. A container keeps them where it can.
	Addresses map[string]map[string][]netip.Addr
	Taken     []netip.Prefix // to choose no subnet in: the host's routes, but for the default one; other networks of the engine
	Pools     []netip.Prefix // IPv4, to choose subnets from, in this order; nil = defaultPools
}

// NewPlan turns a loaded project into what the runtimes need. It is pure: no
// input, no output, and equal arguments give equal plans. Errors are
// *FieldError, the first in the order of service names.
func NewPlan(project *types.Project, o PlanOptions) (*Plan, error) {
	plan, err := newPlan(project, o)
	if err != nil {
		return nil, o.Sources.locateErr(err)
	}
	return plan, nil
}

func newPlan(project *types.Project, o PlanOptions) (*Plan, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	plan := &Plan{Name: project.Name, WorkingDir: project.WorkingDir, Dependencies: Dependencies(project)}
	var warnings warnings
	services, err := scaled(project, o.Scale)
	if err != nil {
		return nil, err
	}
	err = firstByName(maps.Keys(services), func(name string) error {
		config := services[name]
		service, err := newService(project, config, o)
		if err != nil {
			return err
		}
		warnings.collect(config, service.Runtime)
		plan.Services = append(plan.Services, service)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := assignAddresses(plan.Services, o.Prefix, o.Kept); err != nil {
		return nil, err
	}
	if err := planContainers(plan, services, project.Networks, o); err != nil {
		return nil, err
	}
	plan.Warnings = append(warnings.lines(), containerWarnings(plan, services)...)
	return plan, nil
}

func (o PlanOptions) check() error {
	switch o.Runtime {
	case "", Engine, Process:
	default:
		return fieldErrorf("", "runtime %q is not allowed (allowed: %s, %s)", o.Runtime, Engine, Process)
	}
	if o.HoldTimeout < 0 {
		return fieldErrorf("", "hold timeout %s is negative", o.HoldTimeout)
	}
	return nil
}

// newService plans all of a service but its addresses, which depend on the
// services before it.
func newService(project *types.Project, config types.ServiceConfig, o PlanOptions) (Service, error) {
	set, err := serviceSettings(project, config)
	if err != nil {
		return Service{}, err
	}
	if scale := config.GetScale(); scale > maxScale {
		return Service{}, fieldErrorf("services."+config.Name+"."+scaleKey(config), "%d instances are more than %d", scale, maxScale)
	}
	service := Service{
		Name:       config.Name,
		Runtime:    chooseRuntime(config, set, o.Runtime),
		Instances:  instances(config),
		Settings:   set.resolve(o.HoldTimeout),
		Env:        environment(config),
		Dir:        workingDir(project, config),
		User:       config.User,
		StopSignal: config.StopSignal,
		StopGrace:  defaultStopGrace,
		Attach:     config.Attach == nil || *config.Attach,
	}
	if config.StopGracePeriod != nil {
		service.StopGrace = time.Duration(*config.StopGracePeriod)
	}
	if service.StopGrace < 0 {
		return Service{}, fieldErrorf("services."+config.Name+".stop_grace_period", "%s is negative", service.StopGrace)
	}
	if service.Command, err = command(config, service.Runtime); err != nil {
		return Service{}, err
	}
	if service.Ports, service.Published, err = ports(config, service.Runtime); err != nil {
		return Service{}, err
	}
	if service.Names, err = hostNames(config); err != nil {
		return Service{}, err
	}
	if service.LinkNames, err = linkNames(config); err != nil {
		return Service{}, err
	}
	if service.ExtraHosts, err = extraHosts(config, service.Runtime); err != nil {
		return Service{}, err
	}
	service.ExtraNames = slices.Sorted(maps.Keys(config.ExtraHosts))
	if service.Restart, err = restart(config); err != nil {
		return Service{}, err
	}
	if service.Health, service.NoHealth, err = healthcheck(config); err != nil {
		return Service{}, err
	}
	service.Gates, err = gates(project, config, set.gates)
	return service, err
}

// chooseRuntime: the command line, then x-upall (the service's is over the
// project's already), then what the service has to run.
func chooseRuntime(config types.ServiceConfig, set settings, override Runtime) Runtime {
	switch {
	case override != "":
		return override
	case set.runtime != "":
		return set.runtime
	case config.Image != "" || config.Build != nil || config.Provider != nil:
		return Engine
	}
	return Process
}

// command is entrypoint and command in one; what the engine runs may be in the
// image, what is run as a process must be in the file.
func command(config types.ServiceConfig, runtime Runtime) ([]string, error) {
	path := "services." + config.Name
	whole := slices.Concat([]string(config.Entrypoint), []string(config.Command))
	if runtime == Engine {
		if config.Image == "" && config.Build == nil && config.Provider == nil {
			return nil, fieldErrorf(path, "neither image nor build is given, and the engine runtime needs one")
		}
		return whole, nil
	}
	switch {
	case len(whole) > 0 && whole[0] == "":
		return nil, fieldErrorf(path+".command", "the name of the program is empty")
	case len(whole) > 0:
		return whole, nil
	case config.Image != "" || config.Build != nil:
		return nil, fieldErrorf(path+".command", "missing, and the image's own command is not known without a container (give command or entrypoint)")
	}
	return nil, fieldErrorf(path+".command", "missing: a process needs command or entrypoint (or image or build, to run as a container)")
}

// environment lists what the file sets; entries without a value that nothing
// resolved are dropped, as Compose does.
func environment(config types.ServiceConfig) []string {
	var env []string
	for _, key := range slices.Sorted(maps.Keys(config.Environment)) {
		if value := config.Environment[key]; value != nil {
			env = append(env, key+"="+*value)
		}
	}
	return env
}

// workingDir: for a process the project directory stands for the image's.
func workingDir(project *types.Project, config types.ServiceConfig) string {
	if filepath.IsAbs(config.WorkingDir) {
		return filepath.Clean(config.WorkingDir)
	}
	return filepath.Join(project.WorkingDir, config.WorkingDir)
}
