package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"upall/supervisor/control"
)

// downFlags are the flags of `upall down`.
type downFlags struct {
	volumes, orphans bool
	images           string
	timeout          int
}

func newDown(files *projectFlags) *cobra.Command {
	var flags downFlags
	cmd := &cobra.Command{
		Use:   "down [SERVICE...]",
		Short: "Stop the project and remove its containers and networks",
		RunE: func(cmd *cobra.Command, services []string) error {
			return down(cmd, files, &flags, services)
		},
		ValidArgsFunction: completeServices(files),
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.volumes, "volumes", "v", false, "remove the project's volumes too")
	f.BoolVar(&flags.orphans, "remove-orphans", false, "remove containers of services that the files no longer have")
	f.StringVar(&flags.images, "rmi", "", "remove images too: `all`, or local for those without a tag of their own")
	registerTimeout(cmd, &flags.timeout)
	return cmd
}

// args are the flags as Compose takes them.
func (d *downFlags) args() []string {
	args := append([]string{"down"}, timeoutArgs(d.timeout)...)
	if d.volumes {
		args = append(args, "--volumes")
	}
	if d.orphans {
		args = append(args, "--remove-orphans")
	}
	if d.images != "" {
		args = append(args, "--rmi", d.images)
	}
	return args
}

func timeoutArgs(seconds int) []string {
	if seconds < 0 {
		return nil
	}
	return []string{"--timeout", strconv.Itoa(seconds)}
}

func down(cmd *cobra.Command, files *projectFlags, flags *downFlags, services []string) error {
	if flags.images != "" && flags.images != "all" && flags.images != "local" {
		return usageError{fmt.Errorf("--rmi %s: unknown (known: all, local)", flags.images)}
	}
	t, err := files.find(cmd)
	if err != nil {
		return err
	}
	if err := t.check(services); err != nil {
		return err
	}
	if err := t.takeDown(cmd, flags, services); err != nil || len(services) > 0 {
		return err
	}
	return t.forget(cmd.Context())
}

// takeDown stops services, all for none, and removes their containers.
func (t *target) takeDown(cmd *cobra.Command, flags *downFlags, services []string) error {
	action := control.Action{Verb: control.End, Timeout: seconds(flags.timeout), Forget: len(services) == 0}
	if len(services) > 0 {
		action.Verb, action.Services = control.Stop, services
	}
	rest, isDone, err := t.act(cmd, action, "stopping")
	if err != nil {
		return err
	}
	containers := t.containersOf(services)
	if !t.mayHaveContainers() || len(services) > 0 && len(containers) == 0 {
		if !isDone {
			t.sayNotUp(cmd, rest)
		}
		return nil
	}
	return t.command(cmd, afterDashes(flags.args(), containers)...)
}
