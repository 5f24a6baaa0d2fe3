package main

import (
	"github.com/spf13/cobra"

	"upall/supervisor/control"
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

// start starts services of a project that is up, and others in the background,
// with the containers that they have.
func (t *target) start(cmd *cobra.Command, services []string) error {
	if err := t.check(services); err != nil {
		return err
	}
	rest, isDone, err := t.act(cmd, control.Action{Verb: control.Start, Services: services}, "starting")
	if isDone || err != nil {
		return err
	}
	return again(cmd, afterDashes([]string{"up", "--detach", "--no-build", "--no-recreate"}, rest)...)
}
