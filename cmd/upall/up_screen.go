package main

import (
	"context"
	"fmt"
	"syscall"

	"upall/internal/event"
	"upall/supervisor/status"
	"upall/tui/dashboard"
)

// openScreen opens the dashboard, where that is wanted. It is closed when the context
// is over, and by its user: who detaches leaves it to leave to call off the rest. The
// function that is returned waits for its end.
func (f *follower) openScreen(ctx context.Context, leave func()) (wait func() error) {
	if !f.wantsScreen() {
		return func() error { return nil }
	}
	o := f.screenFlags.options(f.link.Client, f.files, f.upRun.project.Name, f.noColor)
	// Stopping is what a signal does: the exit code is that of Ctrl-C.
	o.Stop = func(context.Context) error { f.stop.raise(syscall.SIGINT); return nil }
	o.Kill = o.Stop
	screen := dashboard.New(o)
	f.hadScreen = true
	f.setScreen(screen)
	ended := make(chan error, 1)
	go func() {
		result, err := screen.Run(ctx)
		f.setScreen(nil)
		f.left, f.last = result.Choice, result.Snapshot
		if err != nil && ctx.Err() == nil { // what happens is printed from now on
			f.show(event.Event{Type: event.Warning, Message: fmt.Sprintf("the dashboard has ended: %v", err)})
			err = nil
		}
		if result.Choice == dashboard.Detached {
			leave()
		}
		ended <- err
	}()
	return func() error { return <-ended }
}

func (f *follower) setScreen(d *dashboard.Dashboard) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.screen = d
}

// printScreen prints what was left on the screen of a project that is over, and the
// last lines of who has failed.
func (f *follower) printScreen(ctx context.Context) {
	if !f.hadScreen {
		return
	}
	last := lastState(ctx, f.link.Client, f.last)
	_, failed, _ := status.Waiting(f.own(last))
	what := fmt.Sprintf("project %q has ended", f.upRun.project.Name)
	switch {
	case !f.over:
		what = fmt.Sprintf("nothing more comes from project %q", f.upRun.project.Name)
	case f.stop.was():
		what = isStopped(f.upRun.project.Name)
	case failed != nil:
		what = f.explain(ctx, failed).Error()
	}
	printLast(last, what)
}

// readiness counts the instances that are ready, or have ended well.
type readiness struct {
	is  map[string]bool
	all int
}

// add says how many are, if an event has changed that.
func (r *readiness) add(e event.Event) string {
	if e.Type != event.StateChanged {
		return ""
	}
	isReady := e.State == event.StateReady || e.State == event.Exited && e.Code == 0
	if r.is[e.Instance] == isReady {
		return ""
	}
	if r.is == nil {
		r.is = map[string]bool{}
	}
	if r.is[e.Instance] = isReady; !isReady {
		delete(r.is, e.Instance)
	}
	return fmt.Sprintf("%d of %d ready", len(r.is), r.all)
}
