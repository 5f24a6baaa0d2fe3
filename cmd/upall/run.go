package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"upall/supervisor/engine"
)

// runOneOff runs a container of its own for a service. Compose is kept from
// making what else belongs to the project: what the service depends on is
// started by upall, and networks that are there are left as they are.
func runOneOff(cmd *cobra.Command, files *projectFlags, args []string) error {
	service, noDeps, err := engine.RunArguments(streams(cmd), args[1:])
	if err != nil {
		return err
	}
	if service == "" {
		return engine.Command(cmd.Context(), streams(cmd), args)
	}
	t, err := files.find(cmd)
	if err != nil {
		return err
	}
	if t.project == nil {
		return t.command(cmd, args...)
	}
	if err := t.check([]string{service}); err != nil {
		return err
	}
	if t.processes[service] {
		return fmt.Errorf("run %q: it runs as a process, and run is for containers", service)
	}
	client, err := findSupervisor(cmd.Context(), t.name, true)
	if err != nil {
		return err
	}
	if !noDeps && client == nil {
		if needs := slices.Sorted(maps.Keys(t.project.Services[service].DependsOn)); len(needs) > 0 {
			if err := again(cmd, append([]string{"up", "--detach", "--no-recreate", "--"}, needs...)...); err != nil {
				return fmt.Errorf("start what %q depends on: %w", service, err)
			}
		}
	}
	networks, err := engine.NetworkNames(cmd.Context(), streams(cmd), t.name)
	if err != nil {
		return err
	}
	project := withExternal(containersOnly(t.project, t.processes), networks)
	return t.commandOn(cmd, project, append([]string{"run", "--no-deps"}, args[1:]...)...)
}
