package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/status"
	"upall/tui"
	"upall/tui/dashboard"
)

// follower shows what becomes of a project that was brought up, until what the
// command waits for.
type follower struct {
	*upRun
	stop *stopper
	telling

	wasChecked map[string]bool // services, see warnMentions

	isUp   bool
	failed error // of the project
	over   bool
	code   int

	hadScreen bool
	left      dashboard.Choice // how the dashboard was
	last      control.Snapshot // that it knew
}

// errDone ends the following.
var errDone = errors.New("done")

func (f *follower) follow() (err error) {
	if f.eventFile, err = openEventFile(f.events); err != nil {
		return err
	}
	f.printer, f.summary = tui.NewPrinter(f.printing(f.cmd, f.plan)), tui.NewSummary()
	f.shown, f.wasChecked = map[string]bool{}, map[string]bool{}
	for _, s := range f.plan.Services {
		f.shown[s.Name] = true
		f.ready.all += len(s.Instances)
	}
	for _, w := range f.plan.Warnings {
		f.show(event.Event{Time: time.Now(), Type: event.Warning, Message: w})
	}
	defer func() { err = errors.Join(err, f.flush(), f.eventFile.close()) }()
	if f.detach || f.wait {
		return f.untilUp()
	}
	return f.untilOver()
}

// following is from before the project was given to the supervisor. What a later
// life of that does not tell again is in its snapshot.
func (f *follower) following(logs bool) control.FollowOptions {
	return control.FollowOptions{Since: f.before.Seq, Life: f.before.Life, Logs: logs, Restarted: func(s control.Snapshot) {
		f.isUp = f.isUp || s.Phase == control.Up
		f.over, f.code = s.Phase == control.Over, s.Code
		if s.Error != "" && f.failed == nil {
			f.failed = errors.New(s.Error)
		}
	}}
}

// take takes an event, and says with errDone that the project is over.
func (f *follower) take(r control.Record) error {
	f.show(r.Event)
	f.warnMentions(r.Event)
	switch {
	case r.Type == event.Crashed && f.over:
		return errDone
	case r.Type != event.ProjectChanged:
		return nil
	}
	switch r.State {
	case event.StateUp:
		f.isUp = true
	case event.Failed:
		f.failed = errors.New(r.Message)
	case event.StateOver:
		f.over, f.code = true, r.Code
		if r.Message != "" && f.failed == nil {
			f.failed = errors.New(r.Message)
		}
		return errDone
	}
	return nil
}

// untilOver follows until nothing of the project runs. A signal stops what this
// command has brought up; a second one kills it.
func (f *follower) untilOver() error {
	ctx, cancel := context.WithCancel(f.cmd.Context())
	defer cancel()
	stopping := make(chan error, 1)
	go func() { stopping <- f.stopOnSignal(ctx) }()
	closeScreen := f.openScreen(ctx, cancel)
	err := f.link.Follow(ctx, f.following(true), f.take)
	cancel()
	stopErr := <-stopping
	if screenErr := closeScreen(); f.left == dashboard.Detached {
		printLast(lastState(f.cmd.Context(), f.link.Client, f.last), goesOn(f.project.Name))
		return screenErr
	}
	if errors.Is(err, errDone) || (f.over && errors.Is(err, control.ErrGone)) {
		err = nil
	}
	f.printScreen(f.cmd.Context())
	if f.over && (f.link.fresh || f.stop.was()) {
		err = errors.Join(err, f.link.end(f.cmd.Context()))
	}
	if table := f.summary.String(); table != "" {
		fmt.Fprint(f.cmd.ErrOrStderr(), "\n"+table)
	}
	switch {
	case err != nil || stopErr != nil:
		return errors.Join(err, stopErr)
	case f.cause() != nil:
		return f.cause()
	case f.stop.was():
		return exitCode(f.stop.code())
	case f.code != 0:
		return exitCode(f.code)
	}
	return nil
}

// stopOnSignal stops the project as signals say.
func (f *follower) stopOnSignal(ctx context.Context) error {
	select {
	case <-f.stop.first:
	case <-ctx.Done():
		return nil
	}
	f.notice("stopping gracefully; press Ctrl+C again to kill")
	stopped := make(chan error, 1)
	stop := control.Action{Verb: control.Stop, Services: f.ownServices(), Timeout: f.grace()}
	go func() {
		_, err := f.link.Act(ctx, stop)
		stopped <- err
	}()
	select {
	case err := <-stopped:
		return f.unlessOver(ctx, err)
	case <-f.stop.second:
	case <-ctx.Done():
		return nil
	}
	f.notice("killing")
	_, err := f.link.Act(ctx, control.Action{Verb: control.Kill, Services: stop.Services})
	return f.unlessOver(ctx, err)
}

// unlessOver: the end of the project overtakes the answer to who asked for it.
func (f *follower) unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, control.ErrGone) {
		return nil
	}
	return err
}

// ownServices are those of this command, nil for the whole project.
func (f *follower) ownServices() []string {
	if len(f.services) == 0 {
		return nil
	}
	var names []string
	for _, s := range f.plan.Services {
		names = append(names, s.Name)
	}
	return names
}

func (f *follower) notice(message string) {
	f.show(event.Event{Time: time.Now(), Type: event.Notice, Message: message})
}

// untilUp follows until everything was started, or with --wait is ready, and then
// leaves the project alone.
func (f *follower) untilUp() error {
	ctx, cancel := f.stop.context(f.cmd.Context())
	defer cancel()
	if f.waitTimeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(f.waitTimeout)*time.Second)
		defer stop()
	}
	err := f.link.Follow(ctx, f.following(false), func(r control.Record) error {
		if err := f.take(r); err != nil || f.cause() != nil {
			return errDone
		}
		return f.whenUp(ctx)
	})
	switch {
	case f.stop.was():
		return errors.Join(f.leave(f.cmd.Context()), exitCode(f.stop.code()))
	case errors.Is(err, context.DeadlineExceeded):
		return f.tooLate()
	case f.cause() != nil:
		if f.link.fresh && !f.isUp { // what has come up stays, also where a service failed
			return errors.Join(f.cause(), f.link.end(f.cmd.Context()))
		}
		return f.cause()
	case err != nil && !errors.Is(err, errDone):
		return err
	}
	fmt.Fprintln(f.cmd.ErrOrStderr(), "upall: the project is up, and stays so in the background (upall ps, upall logs -f, upall down)")
	return nil
}

// leave undoes what was begun, and kills at a second signal.
func (f *follower) leave(ctx context.Context) error {
	left := make(chan error, 1)
	go func() { left <- f.link.leave(ctx, f.ownServices()) }()
	select {
	case err := <-left:
		return err
	case <-f.stop.second:
	}
	f.notice("killing")
	_, err := f.link.Act(ctx, control.Action{Verb: control.Kill, Services: f.ownServices()})
	return errors.Join(f.unlessOver(ctx, err), <-left)
}

// whenUp says with errDone that the project is as it was waited for.
func (f *follower) whenUp(ctx context.Context) error {
	if !f.isUp {
		return nil
	}
	if !f.wait {
		return errDone
	}
	snapshot, err := f.link.Snapshot(ctx)
	if err != nil {
		return err
	}
	done, failed, _ := status.Waiting(f.own(snapshot))
	switch {
	case failed != nil:
		f.failed = f.explain(ctx, failed)
		return errDone
	case done:
		return errDone
	}
	return nil
}

// own are the instances of this command's services.
func (f *follower) own(s control.Snapshot) []status.Status {
	return slices.DeleteFunc(s.Instances, func(i status.Status) bool { return !f.shown[i.Service] })
}

func (f *follower) tooLate() error {
	snapshot, err := f.link.Snapshot(f.cmd.Context())
	if err != nil {
		return err
	}
	_, _, waiting := status.Waiting(f.own(snapshot))
	return fmt.Errorf("not ready after %d s: %s", f.waitTimeout, strings.Join(waiting, "; "))
}

// explain is why a wait has failed, with the last words of who failed it.
func (f *follower) explain(ctx context.Context, failed *status.Status) error {
	return explainFailure(ctx, f.link.Client, failed)
}

// lastLines is how much output of a failed service is shown.
const lastLines = 10

// explainFailure names the instance, how it failed, and what it has written last.
func explainFailure(ctx context.Context, client *control.Client, failed *status.Status) error {
	var b strings.Builder
	b.WriteString(failed.Failure())
	var lines []string
	err := client.Logs(ctx, control.LogQuery{Services: []string{failed.Service}, Tail: lastLines}, func(l control.LogLine) error {
		if l.Instance == failed.Instance {
			lines = append(lines, l.Message)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s (its output cannot be read: %w)", b.String(), err)
	}
	if len(lines) > 0 {
		b.WriteString("; its last lines:")
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "\n  %s | %s", failed.Instance, l)
	}
	return errors.New(b.String())
}
