package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// AllLines is the Tail of a LogQuery for all lines.
const AllLines = -1

// LogQuery says which lines Logs gives.
type LogQuery struct {
	Instances    []string  // empty = all that have a container
	Tail         int       // so many of each instance, the newest; or AllLines
	Since, Until time.Time // zero = from the first, to the last
	// Follow waits for more lines, until none of the containers runs any more.
	Follow bool
}

// Logs calls yield for lines that containers have written, as the engine's logs
// have them: in the order of their times, or, with Follow, as they come. It ends
// with the error of yield, or with that of the first container whose log cannot
// be read; lines of the others may be missing then.
func (r *Runtime) Logs(ctx context.Context, q LogQuery, yield func(Line) error) error {
	now := r.present.Load()
	if len(q.Instances) == 0 {
		q.Instances = slices.Sorted(maps.Keys(now.refs))
	}
	var refs []ref
	for _, instance := range q.Instances {
		c, err := r.container(instance)
		if err != nil {
			return err
		}
		refs = append(refs, c)
	}
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	if q.Follow {
		return merge([]*source{newSource(ctx, &readers, func(tell func(Line)) error {
			return together(refs, func(c ref) error { return r.Engine.followLog(ctx, c, now.hasTTY(c), q, tell) })
		})}, yield)
	}
	var sources []*source
	for _, c := range refs {
		sources = append(sources, newSource(ctx, &readers, func(tell func(Line)) error {
			return r.Engine.readLog(ctx, c, now.hasTTY(c), q, tell)
		}))
	}
	return merge(sources, yield)
}

// together calls do for all containers at the same time.
func together(refs []ref, do func(ref) error) error {
	var work sync.WaitGroup
	failed := make([]error, len(refs))
	for n, c := range refs {
		work.Go(func() { failed[n] = do(c) })
	}
	work.Wait()
	return errors.Join(failed...)
}

// source is where lines come from, in order.
type source struct {
	lines chan Line // closed at the end
	err   error     // why it has ended, valid then
	head  Line      // the newest, not given yet
}

// newSource begins to read lines, until ctx ends.
func newSource(ctx context.Context, work *sync.WaitGroup, read func(tell func(Line)) error) *source {
	s := &source{lines: make(chan Line)}
	work.Go(func() {
		defer close(s.lines)
		s.err = read(func(l Line) {
			select {
			case s.lines <- l:
			case <-ctx.Done():
			}
		})
	})
	return s
}

// next reads the next line.
func (s *source) next() (ok bool) {
	s.head, ok = <-s.lines
	return ok
}

// merge gives the lines of sources in the order of their times.
func merge(sources []*source, yield func(Line) error) error {
	open := slices.DeleteFunc(slices.Clone(sources), func(s *source) bool { return !s.next() })
	for len(open) > 0 {
		first := 0
		for n, s := range open {
			if s.head.At.Before(open[first].head.At) {
				first = n
			}
		}
		if err := yield(open[first].head); err != nil {
			return err
		}
		if !open[first].next() {
			open = slices.Delete(open, first, first+1)
		}
	}
	var failed []error
	for _, s := range sources {
		failed = append(failed, s.err)
	}
	return errors.Join(failed...)
}

// followLog tells the lines of a container until it is over. The engine ends a
// log with each run.
func (e *Engine) followLog(ctx context.Context, c ref, hasTTY bool, q LogQuery, tell func(Line)) error {
	told := &seen{at: map[string]time.Time{}}
	again := time.NewTicker(reconnectInterval)
	defer again.Stop()
	for {
		err := e.readLog(ctx, c, hasTTY, q, func(l Line) {
			if told.isNew(l.Stream, l.At) {
				tell(l)
				told.at[l.Stream] = l.At
			}
		})
		if err != nil {
			return err
		}
		d, err := e.details(ctx, c.id)
		if err != nil || !d.IsRunning() {
			return nil // removed, or over
		}
		if len(told.at) > 0 {
			q.Since, q.Tail = told.since(), AllLines
		}
		if d.State != string(container.StateRestarting) {
			continue
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readLog tells the lines of a container's log, until the end of its run with
// Follow.
func (e *Engine) readLog(ctx context.Context, c ref, hasTTY bool, q LogQuery, tell func(Line)) (err error) {
	o := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: q.Follow, Tail: "all"}
	if q.Tail >= 0 {
		o.Tail = strconv.Itoa(q.Tail)
	}
	if q.Since.Unix() > 0 {
		o.Since = stamp(q.Since)
	}
	if !q.Until.IsZero() {
		o.Until = stamp(q.Until)
	}
	log, err := e.api.ContainerLogs(ctx, c.id, o)
	if err != nil {
		return fmt.Errorf("read the log of %s: %w", c.instance, err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	err = readStamped(log, hasTTY, func(stream, text string, at time.Time) {
		tell(Line{c.service, c.instance, stream, text, at})
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the log of %s: %w", c.instance, err)
	}
	return nil
}
