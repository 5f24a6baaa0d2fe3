package supervisor

import (
	"context"
	"slices"
	"sync"

	"upall/compose"
	"upall/supervisor/control"
	"upall/supervisor/engine"
)

// Logs gives what services have written: of processes from the supervisor's own
// files, of containers from the engine.
func (s *supervisor) Logs(ctx context.Context, q control.LogQuery, yield func(control.LogLine) error) error {
	var fromProcesses, fromContainers []string
	var instances []string
	var runtime *engine.Runtime
	var err error
	ok := s.do(func() {
		if err = s.conflict(q.Services); err != nil || s.machine == nil {
			return
		}
		if c := s.containers(); c != nil {
			runtime = c.runtime
		}
		for _, i := range s.machine.of(q.Services) {
			if i.service.Runtime == compose.Process {
				fromProcesses = append(fromProcesses, i.service.Name)
				continue
			}
			fromContainers = append(fromContainers, i.service.Name)
			instances = append(instances, i.Name)
		}
	})
	if !ok || err != nil {
		return err
	}
	if q.Services != nil {
		q.Services = slices.Compact(fromProcesses)
	}
	switch {
	case runtime == nil || len(fromContainers) == 0:
		return s.board.output.Logs(ctx, q, yield)
	case len(fromProcesses) == 0:
		return engineLogs(ctx, runtime, instances, q, yield)
	case q.Follow:
		return both(ctx, yield, func(ctx context.Context, yield func(control.LogLine) error) error {
			return s.board.output.Logs(ctx, q, yield)
		}, func(ctx context.Context, yield func(control.LogLine) error) error {
			return engineLogs(ctx, runtime, instances, q, yield)
		})
	}
	return s.inOrder(ctx, runtime, instances, q, yield)
}

func engineLogs(ctx context.Context, runtime *engine.Runtime, instances []string, q control.LogQuery, yield func(control.LogLine) error) error {
	query := engine.LogQuery{Instances: instances, Tail: q.Tail, Since: q.Since, Follow: q.Follow}
	return runtime.Logs(ctx, query, func(l engine.Line) error {
		return yield(control.LogLine{Time: l.At, Service: l.Service, Instance: l.Instance, Stream: l.Stream, Message: l.Text})
	})
}

// both gives the lines of two sources as they come.
func both(ctx context.Context, yield func(control.LogLine) error, sources ...func(context.Context, func(control.LogLine) error) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex // guards yield
	var work sync.WaitGroup
	errs := make(chan error, len(sources))
	for _, source := range sources {
		work.Go(func() {
			errs <- source(ctx, func(l control.LogLine) error {
				mu.Lock()
				defer mu.Unlock()
				return yield(l)
			})
		})
	}
	var first error
	for range sources {
		if err := <-errs; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	work.Wait()
	return first
}

// inOrder gives the lines of both runtimes in the order of their time.
func (s *supervisor) inOrder(ctx context.Context, runtime *engine.Runtime, instances []string, q control.LogQuery, yield func(control.LogLine) error) error {
	var all []control.LogLine
	collect := func(l control.LogLine) error {
		all = append(all, l)
		return nil
	}
	if err := s.board.output.Logs(ctx, q, collect); err != nil {
		return err
	}
	if err := engineLogs(ctx, runtime, instances, q, collect); err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b control.LogLine) int { return a.Time.Compare(b.Time) })
	for _, l := range all {
		if err := yield(l); err != nil {
			return err
		}
	}
	return nil
}
