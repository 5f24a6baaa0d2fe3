package engine

import (
	"log/slog"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/types"

	"upall/compose"
	"upall/intercept/seccomp"
	"upall/intercept/shim"
)

// Config says what Create makes and what a Runtime runs. The two may be in
// different processes: they must be given the same project, plan, socket and
// directory.
type Config struct {
	Engine  *Engine
	Project *types.Project // as it was loaded
	Plan    *compose.Plan
	// EnvFiles are those of the command line, for Compose's label of them.
	EnvFiles []string
	// Socket is where the interceptor takes notifyFDs; "" to intercept nothing.
	Socket string
	// Directory is for files that containers see, and for what a later Runtime is
	// to know; its parents are upall's alone.
	Directory string
	// ShimDirectory is where the shim is for as long as containers exist; its parents
	// are readable for the engine.
	ShimDirectory string
	WaitKillable  bool // held calls ignore signals but deadly ones
	// HasAgent: the Runtime is where the engine's containers are, and the caller of
	// Create need not be.
	HasAgent bool
	Logger   *slog.Logger
	// Warn gets what a user should know of a service; of Create alone.
	Warn func(service, message string)
	// Output gets each line that a container writes, from goroutines of the
	// Runtime, those of one container in order; of a Runtime alone.
	Output func(Line)
}

// planned is what the creation and the running of containers both need of a
// project. It does not change.
type planned struct {
	Config
	project  *types.Project // the planned one
	services map[string]*compose.Service
}

func newPlanned(c Config) planned {
	p := planned{Config: c, project: compose.Rewrite(c.Project, c.Plan), services: map[string]*compose.Service{}}
	for n := range c.Plan.Services {
		if s := &c.Plan.Services[n]; s.Runtime == compose.Engine {
			p.services[s.Name] = s
		}
	}
	p.label()
	return p
}

// shimOf is the hand-over of an instance that needs the shim.
func (r *planned) shimOf(instance string) shimHandOver {
	return shimHandOver{program: r.shimPath(), directory: filepath.Join(r.Directory, instance), waitKillable: r.WaitKillable}
}

func (r *planned) shimPath() string { return filepath.Join(r.ShimDirectory, shim.Name) }

func filterOf(s *compose.Service) seccomp.Filter {
	return seccomp.Filter{AllowIOURing: s.Settings.AllowIOURing}
}
