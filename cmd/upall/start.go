package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"upall/supervisor/process"
)

func newStart(files *projectFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "start [SERVICE...]",
		Short: "Start services that were stopped",
		RunE: func(cmd *cobra.Command, services []string) error {
			t, err := files.find(cmd)
			if err != nil {
				return err
			}
			return t.start(cmd, services)
		},
		ValidArgsFunction: completeServices(files),
	}
}

// start starts containers of a project that is up, else the project in the
// background, with the containers that it has.
func (t *target) start(cmd *cobra.Command, services []string) error {
	if _, running := t.holder(); !running {
		return again(cmd, afterDashes([]string{"up", "--detach", "--no-build", "--no-recreate"}, services)...)
	}
	if err := t.checkContainers(services, "starting"); err != nil {
		return err
	}
	if !t.mayHaveContainers() {
		return fmt.Errorf("project %q %w", t.name, process.ErrRunning)
	}
	return t.command(cmd, afterDashes([]string{"start"}, services)...)
}
