package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/compose"
	"upall/supervisor/control"
	"upall/supervisor/engine"
	"upall/supervisor/status"
)

// shared is a command that Compose has too. Where a supervisor has the project it
// is upall's, and else Compose's, which sees what containers are left.
type shared struct {
	name, arguments, short string
	about                  string // more for help, may be empty
	flags                  *pflag.FlagSet
	composes               []string // flags that only Compose has a meaning for
	// isOurs tells what of the command line Compose does not know, "" for nothing.
	isOurs func(services []string) string
	// isComposes tells what else of it only Compose can do; may be nil.
	isComposes func() string
	run        func(v *view, services []string) error
	// notUp says that a project without containers is not up.
	notUp func(cmd *cobra.Command, t *target) error
}

// view is a project that a supervisor has.
type view struct {
	*target
	cmd      *cobra.Command
	client   *control.Client
	snapshot control.Snapshot
}

// newShared makes the command. Its flags are read apart from the project's, which
// are in front of it: -f means another thing there.
func newShared(files *projectFlags, s *shared) *cobra.Command {
	s.flags.SortFlags = true
	s.flags.Usage = func() {}
	cmd := &cobra.Command{
		Use: strings.TrimSpace(s.name + " " + s.arguments), Short: s.short,
		DisableFlagParsing: true,
		ValidArgsFunction:  completeServices(files),
		RunE:               func(cmd *cobra.Command, args []string) error { return s.start(cmd, files, args) },
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n%sUsage:\n  upall %s [flags] %s\n\nFlags:\n%s", s.short, s.about, s.name, s.arguments, s.flags.FlagUsages())
	})
	return cmd
}

// passedOn describes a flag that only Compose has a meaning for.
func passedOn(usage string) string { return usage + " (Compose's, for containers alone)" }

func (s *shared) start(cmd *cobra.Command, files *projectFlags, args []string) error {
	err := s.flags.Parse(args)
	_, isUnknown := errors.AsType[*pflag.NotExistError](err)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return cmd.Help()
	case err != nil && !isUnknown:
		return usageError{err}
	}
	t, findErr := files.find(cmd)
	if findErr != nil {
		return findErr
	}
	v, findErr := t.view(cmd)
	switch {
	case findErr != nil:
		return findErr
	case isUnknown && (v != nil && len(v.processes) > 0 || !t.mayHaveContainers()):
		return usageError{err}
	case isUnknown:
		return t.command(cmd, append([]string{s.name}, args...)...)
	case v == nil:
		return s.withoutSupervisor(cmd, t, args)
	}
	services := s.flags.Args()
	if err := v.checkServices(services); err != nil {
		return err
	}
	if what := s.composesPart(); what != "" {
		if err := v.containersAlone(s.name+" "+what, services); err != nil {
			return err
		}
		return t.command(cmd, append([]string{s.name}, args...)...)
	}
	return s.run(v, services)
}

func (s *shared) composesPart() string {
	for _, name := range s.composes {
		if s.flags.Changed(name) {
			return "--" + name
		}
	}
	if s.isComposes != nil {
		return s.isComposes()
	}
	return ""
}

func (s *shared) withoutSupervisor(cmd *cobra.Command, t *target, args []string) error {
	if err := t.check(s.flags.Args()); err != nil {
		return err
	}
	if !t.mayHaveContainers() {
		return s.notUp(cmd, t)
	}
	warnUnattended(cmd, t.name)
	if what := s.isOurs(s.flags.Args()); what != "" {
		return fmt.Errorf("project %q is not up, and without it there is no %s %s", t.name, s.name, what)
	}
	return t.command(cmd, append([]string{s.name}, args...)...)
}

// warnUnattended tells of containers that run while nobody answers their connects.
func warnUnattended(cmd *cobra.Command, project string) {
	e, err := engine.Open(cmd.Context(), engine.NoStreams())
	if err != nil {
		return // who needs it says why
	}
	names, err := e.Unattended(cmd.Context(), project)
	if err = errors.Join(err, e.Close()); err == nil && len(names) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "upall: warning: the supervisor of project %q is gone (or another user's), and while it is, connects of %s fail: `upall up` starts them anew\n", project, strings.Join(names, ", "))
	}
}

// nothingOfOurs is for commands that have no flag that Compose does not have.
func nothingOfOurs([]string) string { return "" }

// saysNotUp is for commands that have nothing to do then.
func saysNotUp(cmd *cobra.Command, t *target) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "upall: project %q is not up\n", t.name)
	return nil
}

// viewUp is of a project that has to be up.
func (p *projectFlags) viewUp(cmd *cobra.Command) (*view, error) {
	t, err := p.find(cmd)
	if err != nil {
		return nil, err
	}
	v, err := t.view(cmd)
	if err == nil && v == nil {
		err = failsNotUp(cmd, t)
	}
	return v, err
}

// failsNotUp is for commands that cannot do then what they were asked to.
func failsNotUp(_ *cobra.Command, t *target) error {
	return fmt.Errorf("project %q is not up", t.name)
}

// view asks the project's supervisor, nil if there is none, or none that has been
// told what the project is.
func (t *target) view(cmd *cobra.Command) (*view, error) {
	client, err := findSupervisor(cmd.Context(), t.name, t.mayHaveContainers())
	if client == nil || err != nil {
		return nil, err
	}
	snapshot, err := client.Snapshot(cmd.Context())
	if err != nil {
		if errors.Is(err, control.ErrGone) {
			return nil, nil //nolint:nilnil // it has just ended
		}
		return nil, err
	}
	if snapshot.Phase == control.Idle {
		return nil, nil //nolint:nilnil // there is nothing to see
	}
	for _, i := range snapshot.Instances {
		if i.Runtime == compose.Process { // also where no file says so
			t.processes[i.Service] = true
		}
	}
	return &view{t, cmd, client, snapshot}, nil
}

// checkServices finds names that neither the files nor what runs has.
func (v *view) checkServices(names []string) error {
	if v.project != nil {
		return v.check(names)
	}
	known := serviceNamesOf(v.snapshot.Instances)
	for _, name := range names {
		if !slices.Contains(known, name) {
			return usageError{fmt.Errorf("no such service: %s (services: %s)", name, strings.Join(known, ", "))}
		}
	}
	return nil
}

// checkUp finds services that the files have, and the project that is up has not.
func (v *view) checkUp(names []string) error {
	known := serviceNamesOf(v.snapshot.Instances)
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("service %q is not up (`upall up %s` starts it)", name, name)
		}
	}
	return nil
}

// containersAlone finds processes among the services, of all where none is named.
func (v *view) containersAlone(what string, services []string) error {
	if len(services) == 0 {
		services = serviceNamesOf(v.snapshot.Instances)
	}
	if name := v.firstProcess(services); name != "" {
		return usageError{fmt.Errorf("%s is Compose's and for containers alone, and service %q runs as a process: name services that are containers", what, name)}
	}
	return nil
}

// of returns the instances of services, all for none.
func (v *view) of(services []string) []status.Status {
	return slices.DeleteFunc(slices.Clone(v.snapshot.Instances), func(s status.Status) bool {
		return len(services) > 0 && !slices.Contains(services, s.Service)
	})
}

func serviceNamesOf(all []status.Status) (names []string) {
	for _, s := range all {
		if !slices.Contains(names, s.Service) {
			names = append(names, s.Service)
		}
	}
	return names
}

// interruptible runs something that a signal ends, with the signal's exit code.
func (v *view) interruptible(do func(ctx context.Context) error) error {
	stop, unwatch := watchSignals()
	defer unwatch()
	ctx, cancel := stop.context(v.cmd.Context())
	defer cancel()
	err := do(ctx)
	if stop.was() {
		return exitCode(stop.code())
	}
	return err
}
