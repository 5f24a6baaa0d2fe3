package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"upall/internal/event"
	"upall/supervisor/control"
)

// tail gives the output of services, each line once. What was written is read from
// where it is kept; what is written from now on comes as events: they go on over
// restarts, and where some were missed the lines are read.
type tail struct {
	client *control.Client
	query  control.LogQuery
	until  time.Time // zero = no end
	show   func(control.LogLine) error

	given map[writer]time.Time // the newest lines
}

// writer is what writes lines in order.
type writer struct{ instance, stream string }

// read gives what was written and has not been given.
func (t *tail) read(ctx context.Context, q control.LogQuery) error {
	before := maps.Clone(t.given)
	err := t.client.Logs(ctx, q, func(line control.LogLine) error { return t.give(line, before) })
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// give shows a line, unless it is older than what was given before.
func (t *tail) give(line control.LogLine, before map[writer]time.Time) error {
	w := writer{line.Instance, line.Stream}
	switch at, ok := before[w]; {
	case ok && !line.Time.After(at):
		return nil
	case !t.until.IsZero() && line.Time.After(t.until):
		return errDone
	}
	t.given[w] = line.Time
	return t.show(line)
}

// follow returns when the project is over.
func (t *tail) follow(ctx context.Context, from control.Snapshot) error {
	if !t.until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, t.until)
		defer cancel()
	}
	began := time.Now()
	err := t.read(ctx, t.query)
	if err == nil {
		err = t.followEvents(ctx, from, began)
	}
	if errors.Is(err, errDone) || errors.Is(err, control.ErrGone) || !t.until.IsZero() && errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (t *tail) followEvents(ctx context.Context, from control.Snapshot, began time.Time) error {
	before := maps.Clone(t.given)
	options := control.FollowOptions{Since: from.Seq, Life: from.Life, Logs: true, Types: []event.Type{event.Log, event.ProjectChanged}}
	return t.client.Follow(ctx, options, func(r control.Record) error {
		switch r.Type {
		case event.Crashed, event.Dropped:
			err := t.read(ctx, t.rest(began))
			before = maps.Clone(t.given)
			if !errors.Is(err, control.ErrGone) { // else it has crashed again, and that is told, too
				return err
			}
		case event.ProjectChanged:
			switch {
			case r.State != event.StateOver:
			case r.Message != "":
				return errors.New(r.Message)
			default:
				return errDone
			}
		case event.Log:
			if len(t.query.Services) == 0 || slices.Contains(t.query.Services, r.Service) {
				return t.give(control.LogLine{Time: r.Time, Service: r.Service, Instance: r.Instance, Stream: r.Stream, Message: r.Message}, before)
			}
		}
		return nil
	})
}

// rest asks for what comes after the lines that were given.
func (t *tail) rest(began time.Time) control.LogQuery {
	q := control.LogQuery{Services: t.query.Services, Since: began, Tail: -1}
	for _, at := range t.given {
		if at.Before(q.Since) {
			q.Since = at
		}
	}
	return q
}
