package main

import (
	"github.com/spf13/cobra"

	"upall/supervisor/control"
)

func newRestart(files *projectFlags) *cobra.Command {
	var timeout int
	var noDeps bool
	cmd := &cobra.Command{
		Use:   "restart [SERVICE...]",
		Short: "Stop services and start them again; who connects meanwhile waits",
		RunE: func(cmd *cobra.Command, services []string) error {
			t, err := files.find(cmd)
			if err != nil {
				return err
			}
			return t.restart(cmd, timeout, noDeps, services)
		},
		ValidArgsFunction: completeServices(files),
	}
	registerTimeout(cmd, &timeout)
	cmd.Flags().BoolVar(&noDeps, "no-deps", false, "do not restart what depends on the named services with restart: true")
	return cmd
}

func (t *target) restart(cmd *cobra.Command, timeout int, noDeps bool, services []string) error {
	if err := t.check(services); err != nil {
		return err
	}
	action := control.Action{Verb: control.Restart, Services: services, Timeout: seconds(timeout), NoDeps: noDeps}
	rest, isDone, err := t.act(cmd, action, "restarting")
	if isDone || err != nil {
		return err
	}
	if t.mayHaveContainers() && (len(rest) == 0 || len(t.containersOf(rest)) > 0) {
		if err := t.commandOnContainers(cmd, rest, append([]string{"stop"}, timeoutArgs(timeout)...)); err != nil {
			return err
		}
	}
	return t.start(cmd, rest)
}
