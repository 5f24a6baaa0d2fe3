package main

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"
)

func newRestart(files *projectFlags) *cobra.Command {
	var timeout int
	var noDeps bool
	cmd := &cobra.Command{
		Use:   "restart [SERVICE...]",
		Short: "Stop services and start them again",
		RunE: func(cmd *cobra.Command, services []string) error {
			return restart(cmd, files, timeout, noDeps, services)
		},
		ValidArgsFunction: completeServices(files),
	}
	registerTimeout(cmd, &timeout)
	cmd.Flags().BoolVar(&noDeps, "no-deps", false, "do not restart what depends on the named services")
	return cmd
}

func restart(cmd *cobra.Command, files *projectFlags, timeout int, noDeps bool, services []string) error {
	t, err := files.find(cmd)
	if err != nil {
		return err
	}
	if err := t.check(services); err != nil {
		return err
	}
	if _, running := t.holder(); running {
		return t.restartRunning(cmd, timeout, noDeps, services)
	}
	containers := slices.DeleteFunc(slices.Clone(services), func(name string) bool { return t.processes[name] })
	if t.mayHaveContainers() && (len(services) == 0 || len(containers) > 0) {
		if err := t.command(cmd, stopArgs(timeout, containers)...); err != nil {
			return err
		}
	}
	return t.start(cmd, services)
}

// restartRunning restarts containers of a project that is up. The upall there
// learns it from the engine.
func (t *target) restartRunning(cmd *cobra.Command, timeout int, noDeps bool, services []string) error {
	if err := t.checkContainers(services, "restarting"); err != nil {
		return err
	}
	if !t.mayHaveContainers() {
		return errors.New("restarting processes needs the control API, which is not part of this version (use `upall stop` and `upall start`)")
	}
	args := append([]string{"restart"}, timeoutArgs(timeout)...)
	if noDeps {
		args = append(args, "--no-deps")
	}
	return t.command(cmd, afterDashes(args, services)...)
}
