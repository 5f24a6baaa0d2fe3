package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"upall/supervisor/control"
	"upall/tui/dashboard"
)

// dashFlags are the flags of `upall dash`.
type dashFlags struct {
	screenFlags
	noColor bool
}

func newDash(files *projectFlags) *cobra.Command {
	var d dashFlags
	cmd := &cobra.Command{
		Use:               "dash",
		Short:             "Open the dashboard of a project that is up",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := files.viewUp(cmd)
			switch {
			case err != nil:
				return err
			case d.plain:
				return v.interruptible(func(ctx context.Context) error {
					return dashboard.Plain(ctx, v.client, cmd.OutOrStdout())
				})
			case !hasScreen():
				return errors.New("a dashboard needs a terminal: --plain prints lines")
			}
			return d.open(v)
		},
	}
	d.register(cmd.Flags())
	cmd.Flags().BoolVar(&d.noColor, "no-color", false, "show no colours")
	return cmd
}

// open shows the dashboard, and prints what it has left.
func (d *dashFlags) open(v *view) error {
	o := d.options(v.client, v.flags, v.name, d.noColor)
	o.StaysWhenOver = true
	o.Stop = func(ctx context.Context) error { return actAll(ctx, v.client, control.Stop) }
	o.Kill = func(ctx context.Context) error { return actAll(ctx, v.client, control.Kill) }
	var result dashboard.Result
	err := v.interruptible(func(ctx context.Context) (err error) {
		result, err = dashboard.New(o).Run(ctx)
		return err
	})
	ctx := v.cmd.Context()
	last := lastState(ctx, v.client, result.Snapshot)
	what := goesOn(v.name)
	switch {
	case result.Choice == dashboard.Stopped && last.Phase == control.Over:
		err = errors.Join(err, endProject(ctx, v.client, v.name, control.Action{Verb: control.End}))
		what = isStopped(v.name)
	case result.Choice == dashboard.Stopped:
		what = fmt.Sprintf("project %q is still being stopped (upall ps)", v.name)
	case result.Err != nil || last.Phase == control.Over:
		what = fmt.Sprintf("project %q has ended", v.name)
	}
	printLast(last, what)
	return err
}

// actAll does something with all services. The end of the project overtakes the
// answer.
func actAll(ctx context.Context, client *control.Client, verb control.Verb) error {
	_, err := client.Act(ctx, control.Action{Verb: verb})
	if errors.Is(err, control.ErrGone) || ctx.Err() != nil {
		return nil
	}
	return err
}

// isStopped is what to do with a project that was stopped.
func isStopped(project string) string {
	return fmt.Sprintf("project %q is stopped (upall up starts it again, upall down removes what it has left)", project)
}
