package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"upall/compose"
	"upall/internal/linux"
	"upall/supervisor/control"
	"upall/supervisor/engine"
	"upall/supervisor/engine/agent"
)

// upRun brings a project up: it creates what is missing, tells the project's
// supervisor what is to run, and follows how that goes.
//
//	upall up                                            supervisor
//	    | lease (one `up` at a time) ------------------> |
//	    | <------------------- snapshot: addresses ----- |
//	    | plans, creates containers                      |
//	    | Spec ----------------------------------------> | starts, restarts, holds
//	    | gives the lease back                           |
//	    | <-------------------------- events, output --- |
type upRun struct {
	*upFlags
	cmd      *cobra.Command
	files    *projectFlags
	services []string
	// project has the services that were asked for, with what they depend on; whole
	// also those of it that run already, which are to know each other.
	project *types.Project
	whole   *types.Project
	plan    *compose.Plan // of whole
	options compose.PlanOptions

	containers *engine.Engine // nil: no service needs one
	agentImage func() (string, error)
	link       *link
	before     control.Snapshot // before the Spec was sent
}

func (u *upRun) run() (err error) {
	surviveBrokenPipes()
	stop, unwatch := watchSignals()
	defer unwatch()
	ctx, cancel := stop.context(u.cmd.Context()) // until the project is up, a signal breaks off
	defer cancel()
	if u.link, err = u.openLink(ctx); err != nil {
		return err
	}
	if err := u.change(ctx); err != nil || u.create.noStart {
		if u.link.fresh {
			err = errors.Join(err, u.link.end(u.cmd.Context()))
		}
		if stop.was() {
			return exitCode(stop.code())
		}
		return err
	}
	f := &follower{upRun: u, stop: stop}
	return f.follow()
}

// change makes the project what the files say. One command at a time may.
func (u *upRun) change(ctx context.Context) error {
	lease, before, err := u.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { lease.Release() }()
	if err := u.checkAgent(before.Agent); err != nil {
		return err
	}
	if err := u.replan(ctx, before); err != nil {
		return err
	}
	u.warnOrphans(before)
	made, err := u.createContainers(ctx, before)
	if err != nil || u.create.noStart {
		return err
	}
	if u.link.Client == nil {
		if lease, err = u.link.join(); err != nil {
			return err
		}
	}
	spec, err := u.spec(made, before)
	if err != nil {
		return err
	}
	u.before = before
	_, err = u.link.Apply(ctx, spec)
	return err
}

// enter takes the right to change the project, and returns what it is. An agent that
// is being started gives that right to this command first.
func (u *upRun) enter(ctx context.Context) (lease *control.Lease, before control.Snapshot, err error) {
	if u.link.Client == nil {
		return nil, u.link.starting.presumed, nil
	}
	if u.link.starting != nil {
		lease, err = u.link.join()
	} else {
		lease, err = u.link.Lease(ctx, func(_, holder int) {
			fmt.Fprintf(u.cmd.ErrOrStderr(), "upall: another command changes project %q (pid %d): waiting for it\n", u.project.Name, holder)
		})
	}
	if err != nil {
		return nil, before, err
	}
	before, err = u.link.Snapshot(ctx)
	if err == nil && before.Version != version && before.Agent != nil {
		before, err = u.replaceAgent(ctx, before)
	}
	if err == nil && before.Version != version && !u.link.fresh {
		err = fmt.Errorf("project %q is up under upall %s, and this is %s: `upall down` first", u.project.Name, before.Version, version)
	}
	if err != nil {
		lease.Release()
	}
	return lease, before, err
}

// warnOrphans tells of processes that go on although the files do not have them any
// more; of containers Compose's own code tells.
func (u *upRun) warnOrphans(before control.Snapshot) {
	if u.create.removeOrphans {
		return
	}
	var orphans []string
	for _, i := range before.Instances {
		_, isKnown := u.project.AllServices()[i.Service]
		if !isKnown && i.Runtime == compose.Process && !slices.Contains(orphans, i.Service) {
			orphans = append(orphans, i.Service)
		}
	}
	if len(orphans) > 0 {
		u.warn("", fmt.Sprintf("%s: not in the files any more, and left alone (--remove-orphans ends what is so)", strings.Join(orphans, ", ")))
	}
}

// replan plans with what is there: what runs keeps its addresses.
func (u *upRun) replan(ctx context.Context, before control.Snapshot) (err error) {
	if err := u.loadWhole(ctx, before); err != nil {
		return err
	}
	u.options.Prefix = before.Prefix
	u.options.Kept = map[string]compose.Instance{}
	for _, i := range before.Processes {
		u.options.Kept[i.Name] = i
	}
	if u.containers != nil {
		if err := u.containers.Survey(ctx, u.project.Name, &u.options); err != nil {
			return err
		}
	}
	u.plan, err = compose.NewPlan(u.whole, u.options)
	return err
}

// loadWhole adds to services that were named those that run already, as far as the
// files have them.
func (u *upRun) loadWhole(ctx context.Context, before control.Snapshot) (err error) {
	u.whole = u.project
	names := u.project.ServiceNames()
	for _, i := range before.Instances {
		_, isKnown := u.project.DisabledServices[i.Service]
		if isKnown && !slices.Contains(names, i.Service) {
			names = append(names, i.Service)
		}
	}
	if len(u.services) == 0 || len(names) == len(u.project.Services) {
		return nil
	}
	u.whole, _, err = u.files.loadWith(ctx, u.cmd.InOrStdin(), names, true, func(string) {})
	if err == nil {
		u.create.apply(u.whole)
	}
	return err
}

// createContainers returns the services whose containers were made anew.
func (u *upRun) createContainers(ctx context.Context, before control.Snapshot) (made []string, err error) {
	if u.containers == nil {
		return nil, nil
	}
	config := engine.Config{
		Engine: u.containers, Project: u.project, EnvFiles: u.files.envFiles, Plan: u.plan, Logger: newLogger(os.Getenv("UPALL_LOG")),
		Directory: filepath.Join(filepath.Dir(before.Socket), "containers"), WaitKillable: !linux.ParseDisabled(os.Getenv("UPALL_DISABLE")).Has(linux.WaitKillable) && before.WaitKillable,
		Warn: u.warn, HasAgent: before.Agent != nil, ShimDirectory: agent.Shared().Shim,
	}
	if before.Agent != nil {
		config.ShimDirectory = before.Agent.Shim
	}
	if intercepts() {
		config.Socket = before.Socket
	}
	options := u.create.options(u.cmd, u.services)
	options.Fresh = u.link.fresh || before.Phase == control.Idle
	options.Timeout = u.grace()
	was, err := u.containers.IDs(ctx, u.project.Name)
	if err != nil {
		return nil, err
	}
	if err := engine.Create(ctx, config, options); err != nil {
		return nil, err
	}
	is, err := u.containers.IDs(ctx, u.project.Name)
	return madeAnew(was, is), err
}

// madeAnew returns the services that have another container than before.
func madeAnew(was, is map[string]string) (services []string) {
	for instance, id := range is {
		if before := was[instance]; before != "" && before != id {
			service := instance[:strings.LastIndex(instance, "-")]
			if !slices.Contains(services, service) {
				services = append(services, service)
			}
		}
	}
	return services
}

func (u *upRun) spec(made []string, before control.Snapshot) (spec *control.Spec, err error) {
	spec = &control.Spec{
		Plan: u.plan, EnvFiles: u.files.envFiles, Env: os.Environ(), Disabled: os.Getenv("UPALL_DISABLE"), Intercept: intercepts(),
		Services: u.project.ServiceNames(), HoldTimeout: u.holdTimeout, Grace: u.grace(), Anew: made,
		Ending: control.Ending{OnExit: u.abortOnExit, OnFailure: u.abortOnFailure, From: u.exitCodeFrom},
	}
	if before.Agent != nil {
		if spec.As, err = ownUser(); err != nil {
			return nil, err
		}
	}
	if u.create.forceRecreate { // the processes too
		spec.Anew = u.project.ServiceNames()
	}
	if u.create.removeOrphans {
		spec.Only = u.project.ServiceNames()
		spec.Only = append(spec.Only, slices.Collect(maps.Keys(u.project.DisabledServices))...)
	}
	if u.containers == nil {
		return spec, nil
	}
	spec.Project, err = engine.MarshalProject(u.whole)
	return spec, err
}

func (u *upRun) warn(service, message string) {
	if service != "" {
		message = service + ": " + message
	}
	fmt.Fprintf(u.cmd.ErrOrStderr(), "upall: warning: %s\n", message)
}

func (u *upFlags) grace() *time.Duration {
	if u.timeout < 0 {
		return nil
	}
	grace := time.Duration(u.timeout) * time.Second
	return &grace
}

func intercepts() bool { return os.Getenv("UPALL_INTERCEPT") != "off" }
