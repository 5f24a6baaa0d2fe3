package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/status"
)

// waitFlags are the flags of `upall wait`.
type waitFlags struct{ timeout int }

func newWait(files *projectFlags) *cobra.Command {
	var w waitFlags
	flags := pflag.NewFlagSet("wait", pflag.ContinueOnError)
	flags.IntVar(&w.timeout, "timeout", 0, "`seconds` to wait at most")
	flags.Bool("down-project", false, passedOn("take the project down when the first container stops"))
	return newShared(files, &shared{
		name: "wait", arguments: "[SERVICE...]", short: "Wait until services are ready, or have exited with 0", flags: flags,
		composes: []string{"down-project"},
		isOurs: func(services []string) string {
			switch {
			case flags.Changed("timeout"):
				return "--timeout"
			case len(services) == 0:
				return "without the name of a service"
			}
			return ""
		},
		run: w.wait, notUp: failsNotUp,
	})
}

func (w *waitFlags) wait(v *view, services []string) error {
	if w.timeout < 0 {
		return usageError{errors.New("--timeout is negative")}
	}
	if err := v.checkUp(services); err != nil {
		return err
	}
	return v.interruptible(func(ctx context.Context) error {
		limited := ctx
		if w.timeout > 0 {
			var cancel context.CancelFunc
			limited, cancel = context.WithTimeout(ctx, time.Duration(w.timeout)*time.Second)
			defer cancel()
		}
		err := v.awaitReady(limited, services)
		if errors.Is(err, context.DeadlineExceeded) {
			return w.tooLate(ctx, v, services)
		}
		return err
	})
}

// awaitReady returns when the services are ready or have exited with 0, or one of
// them has failed.
func (v *view) awaitReady(ctx context.Context, services []string) error {
	check := func() error {
		done, failed, _ := status.Waiting(v.of(services))
		switch {
		case failed != nil:
			return explainFailure(ctx, v.client, failed)
		case done:
			return errDone
		}
		return nil
	}
	err := check()
	if err == nil {
		follow := control.FollowOptions{
			Since: v.snapshot.Seq, Life: v.snapshot.Life,
			Types: []event.Type{event.StateChanged, event.Ready, event.Unhealthy, event.ProjectChanged},
		}
		err = v.client.Follow(ctx, follow, func(control.Record) (err error) {
			if v.snapshot, err = v.client.Snapshot(ctx); err != nil {
				return err
			}
			return check()
		})
	}
	switch {
	case errors.Is(err, errDone):
		return nil
	case err == nil || errors.Is(err, control.ErrGone):
		return fmt.Errorf("project %q has ended", v.name)
	}
	return err
}

func (w *waitFlags) tooLate(ctx context.Context, v *view, services []string) error {
	snapshot, err := v.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	v.snapshot = snapshot
	_, _, waiting := status.Waiting(v.of(services))
	return fmt.Errorf("not ready after %d s: %s", w.timeout, strings.Join(waiting, "; "))
}
