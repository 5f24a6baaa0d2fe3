package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/status"
	"upall/tui"
)

// Plain prints how a project fares, and then what changes, a line each: for screen
// readers, and terminals that are none. It returns when the project is over.
func Plain(ctx context.Context, api API, out io.Writer) error {
	snapshot, err := api.Snapshot(ctx)
	if err != nil {
		return err
	}
	p := &plain{api: api, out: out, events: tui.NewEventPrinter(out)}
	p.all(snapshot)
	err = api.Follow(ctx, control.FollowOptions{Since: snapshot.Seq, Life: snapshot.Life}, func(r control.Record) error {
		return p.take(ctx, r.Event)
	})
	if errors.Is(err, control.ErrGone) {
		p.say("nothing more comes from the project")
	}
	if errors.Is(err, errOver) || errors.Is(err, control.ErrGone) {
		err = nil
	}
	return errors.Join(err, p.events.Flush(), p.err)
}

// errOver ends the following.
var errOver = errors.New("the project is over")

type plain struct {
	api    API
	out    io.Writer
	events *tui.EventPrinter
	ready  string // what was said last of how many are ready
	err    error  // the first of out
}

func (p *plain) say(line string) {
	if _, err := fmt.Fprintln(p.out, safe(line, false)); err != nil && p.err == nil {
		p.err = err
	}
}

// all says how each instance fares.
func (p *plain) all(s control.Snapshot) {
	now := &shared{state: newState()}
	now.takeSnapshot(s)
	now.now = time.Now()
	for _, i := range s.Instances {
		reason := status.ReasonOf(i, s.Diagnoses)
		for _, line := range reason.Lines(now.title(i.Instance), now.now) {
			p.say(line)
		}
	}
	p.count(now)
}

// count says how many are ready, if that has changed.
func (p *plain) count(s *shared) {
	ready, all := s.ready()
	if text := fmt.Sprintf("%d of %d ready", ready, all); text != p.ready {
		p.ready = text
		p.say(text)
	}
}

func (p *plain) take(ctx context.Context, e event.Event) error {
	if err := p.events.Print(e); err != nil {
		return err
	}
	switch {
	case e.Type == event.ProjectChanged && e.State == event.StateOver:
		return errOver
	case e.Type != event.StateChanged:
		return nil
	}
	// At its end nobody may answer any more, and there are events yet to come.
	if snapshot, err := p.api.Snapshot(ctx); err == nil {
		now := &shared{state: newState()}
		now.takeSnapshot(snapshot)
		p.count(now)
	}
	return p.err
}
