package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"upall/supervisor/control"
	"upall/supervisor/status"
)

func newStop(files *projectFlags) *cobra.Command {
	var timeout int
	cmd := &cobra.Command{
		Use:   "stop [SERVICE...]",
		Short: "Stop services, clients before their servers; containers are kept",
		RunE: func(cmd *cobra.Command, services []string) error {
			t, err := files.find(cmd)
			if err != nil {
				return err
			}
			return t.stop(cmd, timeout, services)
		},
		ValidArgsFunction: completeServices(files),
	}
	registerTimeout(cmd, &timeout)
	return cmd
}

func registerTimeout(cmd *cobra.Command, timeout *int) {
	cmd.Flags().IntVarP(timeout, "timeout", "t", -1, "`seconds` between the stop signal and the kill; else each service's stop_grace_period")
}

// stop stops services of a project that is up, else containers of one that is not.
func (t *target) stop(cmd *cobra.Command, timeout int, services []string) error {
	if err := t.check(services); err != nil {
		return err
	}
	rest, isDone, err := t.act(cmd, control.Action{Verb: control.Stop, Services: services, Timeout: seconds(timeout)}, "stopping")
	if isDone || err != nil {
		return err
	}
	return t.commandOnContainers(cmd, rest, append([]string{"stop"}, timeoutArgs(timeout)...))
}

// commandOnContainers runs a command of Compose for services that are not up, as
// far as they are containers.
func (t *target) commandOnContainers(cmd *cobra.Command, services, args []string) error {
	containers := t.containersOf(services)
	if !t.mayHaveContainers() || len(services) > 0 && len(containers) == 0 {
		t.sayNotUp(cmd, services)
		return nil
	}
	return t.command(cmd, afterDashes(args, containers)...)
}

// sayNotUp says that services, none for the project, are not up.
func (t *target) sayNotUp(cmd *cobra.Command, services []string) {
	what := fmt.Sprintf("project %q is", t.name)
	switch len(services) {
	case 0:
	case 1:
		what = services[0] + " is"
	default:
		what = strings.Join(services, ", ") + " are"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "upall: %s not up\n", what)
}

// act has the project's supervisor do something, unless there is none. It returns
// the services that are left to others (none: all), unless it is done. What it does
// to all services is left where it stops them: Compose would start more than was.
func (t *target) act(cmd *cobra.Command, action control.Action, doing string) (rest []string, isDone bool, err error) {
	client, err := findSupervisor(cmd.Context(), t.name, t.mayHaveContainers())
	if client == nil || err != nil {
		return action.Services, false, err
	}
	known, rest, err := t.divide(cmd.Context(), client, action.Services)
	if err != nil {
		return nil, false, err
	}
	if len(action.Services) == 0 && action.Verb != control.Stop {
		rest = nil
	}
	if len(action.Services) == 0 || len(known) > 0 {
		action.Services = known
		err = t.actOn(cmd, client, action, doing)
	}
	return rest, len(rest) == 0, err
}

// divide divides services, none for all, by whether the supervisor has them:
// others of the file may have containers, which were made without it.
func (t *target) divide(ctx context.Context, client *control.Client, services []string) (known, rest []string, err error) {
	snapshot, err := client.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(snapshot.Instances, func(i status.Status) bool { return i.Service == name })
	}
	if len(services) == 0 {
		return nil, slices.DeleteFunc(t.containersOf(t.enabled), has), nil
	}
	for _, name := range services {
		if has(name) || t.project == nil {
			known = append(known, name)
		} else {
			rest = append(rest, name)
		}
	}
	return known, rest, nil
}

func (t *target) actOn(cmd *cobra.Command, client *control.Client, action control.Action, doing string) error {
	what := fmt.Sprintf("project %q", t.name)
	if len(action.Services) > 0 {
		what = strings.Join(action.Services, ", ")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "upall: %s %s\n", doing, what)
	signals, unwatch := watchSignals()
	defer unwatch()
	ctx, cancel := signals.context(cmd.Context())
	defer cancel()
	var err error
	if action.Verb == control.End {
		err = endProject(ctx, client, t.name, action)
	} else {
		_, err = client.Act(ctx, action)
	}
	if signals.was() {
		fmt.Fprintf(cmd.ErrOrStderr(), "upall: %s goes on: %s\n", doing, what)
		return exitCode(128 + int(syscall.SIGINT))
	}
	return err
}

// seconds is a timeout of the command line, nil for none.
func seconds(n int) *time.Duration {
	if n < 0 {
		return nil
	}
	d := time.Duration(n) * time.Second
	return &d
}

// afterDashes adds names, none of which is a flag.
func afterDashes(args, names []string) []string {
	if len(names) == 0 {
		return args
	}
	return append(append(args, "--"), names...)
}
