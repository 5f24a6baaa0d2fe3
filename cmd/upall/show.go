package main

import (
	"errors"
	"sync"
	"syscall"

	"upall/internal/event"
	"upall/tui"
	"upall/tui/dashboard"
)

// telling is what a follower tells, and where: events come from one goroutine, and
// what becomes of signals from another.
type telling struct {
	printer   *tui.Printer
	eventFile *eventFile
	shown     map[string]bool // services

	mu       sync.Mutex // guards what follows, and printer and eventFile
	summary  *tui.Summary
	screen   *dashboard.Dashboard // nil: what happens is printed
	ready    readiness
	isUnread bool  // nobody reads what is printed
	failure  error // what could not be printed or recorded
}

// show prints and records an event. A project in the foreground stops when nobody
// reads its output any more.
func (f *follower) show(e event.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Service != "" && e.Instance != "" && !f.shown[e.Service] {
		return
	}
	f.summary.Add(e)
	printed := f.print(e)
	if errors.Is(printed, syscall.EPIPE) {
		if !f.isUnread && !f.detach && !f.wait {
			f.stop.raise(syscall.SIGPIPE)
		}
		f.isUnread, printed = true, nil
	}
	if err := errors.Join(f.eventFile.write(e), printed); err != nil && f.failure == nil {
		f.failure = err
	}
}

// print prints an event, unless a dashboard is there to show it.
func (f *follower) print(e event.Event) error {
	if f.screen == nil {
		err := f.printer.Print(e)
		if count := f.ready.add(e); count != "" && f.plain {
			err = errors.Join(err, f.printer.Print(event.Event{Time: e.Time, Type: event.Notice, Message: count}))
		}
		return err
	}
	if e.Instance == "" && (e.Type == event.Notice || e.Type == event.Warning) {
		f.screen.Notify(e.Message)
	}
	return nil
}

// flush prints what is left, if anybody reads it.
func (f *follower) flush() error {
	if err := f.printer.Flush(); !errors.Is(err, syscall.EPIPE) {
		return err
	}
	return nil
}

// cause is why the command fails, nil if it does not.
func (f *follower) cause() error {
	if f.failed != nil {
		return f.failed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure
}
