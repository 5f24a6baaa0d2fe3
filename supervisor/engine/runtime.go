package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"upall/compose"
	"upall/intercept/seccomp"
	"upall/supervisor/engine/profile"
)

// Config is for NewRuntime.
type Config struct {
	Engine  *Engine
	Project *types.Project // as it was loaded
	Plan    *compose.Plan
	// EnvFiles are those of the command line, for Compose's label of them.
	EnvFiles []string
	// Socket is where the interceptor takes notifyFDs; "" to intercept nothing.
	Socket string
	// Directory is for files that containers see; its parents are upall's alone.
	Directory    string
	WaitKillable bool // held calls ignore signals but deadly ones
	Logger       *slog.Logger
	// Warn gets what a user should know of a service.
	Warn func(service, message string)
	// Output gets each line that a container writes, stream being "stdout" or
	// "stderr", from goroutines of the Runtime.
	Output func(service, instance, stream, line string)
}

// Runtime runs the engine's services of one project. After Create its
// methods may be called from any goroutine.
type Runtime struct {
	Config
	project  *types.Project // the planned one
	services map[string]*compose.Service
	profile  profile.Base   // that the engine gives where none is asked
	refs     map[string]ref // by instance, after Create
	outputs  sync.WaitGroup // of containers

	mu       sync.Mutex      // guards attached
	attached map[string]bool // containers whose start has been attached to and not been told yet
}

// NewRuntime prepares the runtime of a project. It changes nothing.
func NewRuntime(c Config) (*Runtime, error) {
	r := &Runtime{
		Config: c, project: compose.Rewrite(c.Project, c.Plan),
		services: map[string]*compose.Service{}, refs: map[string]ref{}, attached: map[string]bool{},
	}
	for n := range c.Plan.Services {
		if s := &c.Plan.Services[n]; s.Runtime == compose.Engine {
			r.services[s.Name] = s
		}
	}
	r.label()
	if c.Socket == "" {
		return r, nil
	}
	if err := c.Engine.NotLocal(); err != nil {
		return nil, fmt.Errorf("hold the connects of containers: %w (UPALL_INTERCEPT=off starts them without)", err)
	}
	var err error
	r.profile, err = profile.EngineDefault(c.Engine.info.Info.SecurityOptions, c.Engine.newest)
	return r, err
}

// Metadata returns the metadata with which an instance hands over, after Create.
// ok is false for an instance that has no container.
func (r *Runtime) Metadata(instance string) (metadata string, ok bool) {
	c, ok := r.refs[instance]
	return c.metadata, ok
}

// Start starts the containers of services at the same moment and waits until the
// engine has done so; started is called for each, from any goroutine. It returns
// the errors by instance; err is one that kept all of them from starting.
func (r *Runtime) Start(ctx context.Context, services []string, started func(instance string)) (failed map[string]error, err error) {
	if err := r.writeShimFiles(services); err != nil {
		return nil, err
	}
	project, err := r.needed().WithSelectedServices(services, types.IgnoreDependencies)
	if err != nil {
		return nil, err
	}
	starter := newStarter(r.Engine.api, r.startPlan(started))
	service, err := r.Engine.service(starter)
	if err != nil {
		return nil, err
	}
	err = service.Start(ctx, r.Plan.Name, api.StartOptions{Project: project})
	failed = starter.wait()
	if err != nil && len(failed) == 0 {
		return nil, fmt.Errorf("start the containers: %w", err)
	}
	return failed, nil
}

func (r *Runtime) startPlan(started func(instance string)) startPlan {
	plan := startPlan{
		names: map[string]string{}, needs: map[string][]string{}, choosy: map[string]bool{},
		prepare: r.attach, started: started,
	}
	needed := r.needed()
	for _, c := range r.refs {
		plan.names[c.id] = c.instance
		plan.choosy[c.id] = choosesPort(r.services[c.service])
		for name := range needed.Services[c.service].DependsOn {
			for _, other := range r.refs {
				if other.service == name {
					plan.needs[c.id] = append(plan.needs[c.id], other.id)
				}
			}
		}
	}
	return plan
}

// choosesPort tells whether the engine is to choose a port of the host for the
// service.
func choosesPort(s *compose.Service) bool {
	return slices.ContainsFunc(s.Published, func(p compose.Publish) bool { return p.HostPort == 0 || p.HostPortEnd != 0 })
}

// Stop stops the containers of services, all at the same moment, after grace if
// it is not nil by force.
func (r *Runtime) Stop(ctx context.Context, services []string, grace *time.Duration) error {
	service, err := r.Engine.service(r.Engine.api)
	if err != nil {
		return err
	}
	project, err := withoutOrder(r.project).WithSelectedServices(services, types.IgnoreDependencies)
	if err != nil {
		return err
	}
	return service.Stop(ctx, r.Plan.Name, api.StopOptions{Project: project, Services: services, Timeout: grace})
}

// Over returns the exit codes of the instances that do not run, 0 for one that
// never has.
func (r *Runtime) Over(ctx context.Context) (map[string]int, error) {
	refs, err := r.Engine.list(ctx, r.Plan.Name)
	if err != nil {
		return nil, err
	}
	codes := map[string]int{}
	for instance := range r.refs {
		codes[instance] = 0 // unless it is listed
	}
	for _, c := range refs {
		delete(codes, c.instance)
		if !c.running {
			codes[c.instance] = r.exitCode(ctx, c.id)
		}
	}
	return codes, nil
}

// Kill kills a container.
func (r *Runtime) Kill(ctx context.Context, instance string) error {
	_, err := r.Engine.api.ContainerKill(ctx, r.refs[instance].id, client.ContainerKillOptions{Signal: "KILL"})
	return err
}

// Wait waits until the output of all containers has been told, after their end.
func (r *Runtime) Wait() { r.outputs.Wait() }

// writeShimFiles makes what the shims of services read. Without interception there
// is nothing, and the shim steps aside.
func (r *Runtime) writeShimFiles(services []string) error {
	if r.Socket == "" {
		return nil
	}
	for _, c := range r.refs {
		s := r.services[c.service]
		if !slices.Contains(services, c.service) || !c.hasShim {
			continue
		}
		filter, err := filterOf(s).Compile()
		if err != nil {
			return err
		}
		h := r.shimOf(c.instance)
		if err := os.RemoveAll(h.directory); err != nil {
			return err
		}
		if err := h.write(filter, c.metadata, r.Socket); err != nil {
			return fmt.Errorf("prepare the shim of %s: %w", c.instance, err)
		}
	}
	return nil
}

// needsShim tells whether the engine does not hand the notifyFDs of the service's
// containers over itself.
func (r *Runtime) needsShim(service string) bool {
	if r.Socket == "" {
		return false
	}
	_, err := profile.Choose(nil, r.project.Services[service].Privileged, r.Engine.newest, r.profile)
	return !r.Engine.HasListenerPath() || errors.Is(err, profile.ErrPrivileged)
}

func (r *Runtime) shimOf(instance string) shimHandOver {
	return shimHandOver{program: shimPath, directory: filepath.Join(r.Directory, instance), waitKillable: r.WaitKillable}
}

func filterOf(s *compose.Service) seccomp.Filter {
	return seccomp.Filter{AllowIOURing: s.Settings.AllowIOURing}
}

func newMetadata() string { return "upall:" + rand.Text() }
