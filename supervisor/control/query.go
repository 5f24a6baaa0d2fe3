package control

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
)

// Logs gives the lines that q selects, in the order of their time, as far as they
// are kept. It returns the error that yield returns, or the context's.
func (o *Output) Logs(ctx context.Context, q LogQuery, yield func(LogLine) error) error {
	sources := map[string]*source{}
	defer func() {
		for _, s := range sources {
			s.close()
		}
	}()
	tail := q.Tail
	for {
		changed, err := o.refresh(q, tail, sources)
		if err != nil {
			return err
		}
		if err := merge(ctx, sources, yield); err != nil {
			return err
		}
		if !q.Follow || changed == nil {
			return nil
		}
		tail = -1 // an instance that is new has written nothing before
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refresh adds what has been opened since the last call. changed is closed when
// there is more; nil after Close.
func (o *Output) refresh(q LogQuery, tail int, sources map[string]*source) (changed <-chan struct{}, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for instance, f := range o.files {
		if len(q.Services) > 0 && !slices.Contains(q.Services, f.service) {
			continue
		}
		s := sources[instance]
		switch {
		case s == nil:
			s = newSource(nil)
			s.since = q.Since
			sources[instance] = s
			err = o.openOld(s, instance)
		case s.rotations == f.rotations:
			continue
		case f.rotations-s.rotations > 1: // the one between is the old one now
			err = o.openOld(s, instance)
		}
		if err == nil {
			err = openInto(s, o.path(instance, newSuffix))
		}
		if err == nil && tail >= 0 {
			err = s.skipTo(tail)
		}
		if err != nil {
			return nil, err
		}
		s.rotations = f.rotations
	}
	if o.closed {
		return nil, nil
	}
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.changed, nil
}

func (o *Output) openOld(s *source, instance string) error {
	err := openInto(s, o.path(instance, oldSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func openInto(s *source, path string) error {
	file, err := os.Open(path)
	if err == nil {
		s.add([]*os.File{file})
	}
	return err
}

// merge gives what the sources have now, the oldest line first.
func merge(ctx context.Context, sources map[string]*source, yield func(LogLine) error) error {
	for _, s := range sources {
		s.atEnd = false
	}
	for ctx.Err() == nil {
		var first *source
		for _, s := range sources {
			line, ok := s.peek()
			if ok && (first == nil || isBefore(line, first.next)) {
				first = s
			}
		}
		if first == nil {
			return nil
		}
		line := *first.next
		first.take()
		if err := yield(line); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func isBefore(a, b *LogLine) bool {
	if c := a.Time.Compare(b.Time); c != 0 {
		return c < 0
	}
	return a.Instance < b.Instance
}
