package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/tui"
)

// eventsFlags are the flags of `upall events`.
type eventsFlags struct {
	json  bool
	since string
}

func newEvents(files *projectFlags) *cobra.Command {
	var e eventsFlags
	flags := pflag.NewFlagSet("events", pflag.ContinueOnError)
	flags.BoolVar(&e.json, "json", false, "print the records of the control API, a line of JSON each")
	flags.StringVar(&e.since, "since", "", "begin with what has happened since this `moment`: a time, or how long ago; else now")
	flags.String("until", "", passedOn("end at this `moment`"))
	return newShared(files, &shared{
		name: "events", arguments: "[SERVICE...]", short: "Print what happens to the project, as it happens", flags: flags,
		composes: []string{"until"}, isOurs: nothingOfOurs, run: e.follow, notUp: failsNotUp,
	})
}

func (f *eventsFlags) follow(v *view, services []string) error {
	since, err := parseMoment(f.since, time.Now())
	if err != nil {
		return err
	}
	options := control.FollowOptions{Since: v.snapshot.Seq, Life: v.snapshot.Life}
	if !since.IsZero() {
		options.Since = 0
	}
	show, flush := f.printer(v)
	err = v.interruptible(func(ctx context.Context) error {
		return v.client.Follow(ctx, options, func(r control.Record) error {
			if !isAbout(r.Event, services) || r.Time.Before(since) {
				return nil
			}
			if err := show(r); err != nil {
				return err
			}
			if r.Type == event.ProjectChanged && r.State == event.StateOver && r.Seq > v.snapshot.Seq {
				return errDone
			}
			return nil
		})
	})
	if errors.Is(err, errDone) || errors.Is(err, control.ErrGone) {
		err = nil
	}
	return errors.Join(err, flush())
}

func (f *eventsFlags) printer(v *view) (show func(control.Record) error, flush func() error) {
	out := v.cmd.OutOrStdout()
	if f.json {
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		return func(r control.Record) error { return lines.Encode(r) }, func() error { return nil }
	}
	p := tui.NewEventPrinter(out)
	return func(r control.Record) error { return p.Print(r.Event) }, p.Flush
}

// isAbout tells whether an event is about one of the services, or the project as a
// whole.
func isAbout(e event.Event, services []string) bool {
	return len(services) == 0 || e.Service == "" || slices.Contains(services, e.Service) || slices.Contains(services, e.Target)
}
