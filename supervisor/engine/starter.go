package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/moby/moby/client"
)

// starter is an API client on which the Compose SDK starts containers at the
// same moment: the SDK makes its ContainerStart calls one after the other, so
// here they return at once, and what needs a container to run waits for its
// start. Whatever else the SDK does before and after a start (secrets, configs,
// hooks) stays as it is.
type starter struct {
	client.APIClient
	plan startPlan

	mu     sync.Mutex // guards starts
	starts map[string]*start
	serial chan struct{} // has room for one start in which the engine chooses a host's port: it may give one port to two
	work   sync.WaitGroup
}

// startPlan says what a starter must know of containers, by their ID.
type startPlan struct {
	names   map[string]string     // instances
	needs   map[string][]string   // containers that must run before, whose namespaces or volumes are shared
	choosy  map[string]bool       // the engine chooses a port of theirs
	prepare func(id string)       // called before it is started
	started func(instance string) // called when it runs, from any goroutine
}

// start is a start that is under way or done.
type start struct {
	done chan struct{} // closed when err is valid
	err  error
}

func newStarter(on client.APIClient, plan startPlan) *starter {
	return &starter{APIClient: on, plan: plan, starts: map[string]*start{}, serial: make(chan struct{}, 1)}
}

// ContainerStart starts a container of the plan beside the caller; any other, as
// that of a hook, at once.
func (s *starter) ContainerStart(ctx context.Context, id string, o client.ContainerStartOptions) (client.ContainerStartResult, error) {
	if _, ours := s.plan.names[id]; !ours {
		return s.APIClient.ContainerStart(ctx, id, o)
	}
	begun := &start{done: make(chan struct{})}
	s.mu.Lock()
	s.starts[id] = begun
	s.mu.Unlock()
	s.work.Go(func() {
		defer close(begun.done)
		begun.err = s.start(ctx, id, o)
	})
	return client.ContainerStartResult{}, nil
}

func (s *starter) start(ctx context.Context, id string, o client.ContainerStartOptions) error {
	for _, need := range s.plan.needs[id] {
		if s.await(ctx, need) != nil {
			return &NeedError{s.plan.names[need]}
		}
	}
	s.plan.prepare(id)
	if s.plan.choosy[id] {
		s.serial <- struct{}{}
		defer func() { <-s.serial }()
	}
	_, err := overRules(func() (client.ContainerStartResult, error) { return s.APIClient.ContainerStart(ctx, id, o) })
	if err == nil {
		s.plan.started(s.plan.names[id])
	}
	return err
}

// NeedError says that a container was not started because another was not.
type NeedError struct{ Instance string }

func (e *NeedError) Error() string {
	return fmt.Sprintf("it shares what is of %s, which could not be started", e.Instance)
}

// await waits for the start of a container, if there is one.
func (s *starter) await(ctx context.Context, id string) error {
	s.mu.Lock()
	begun := s.starts[id]
	s.mu.Unlock()
	if begun == nil {
		return nil
	}
	select {
	case <-begun.done:
		return begun.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ExecCreate is how a post_start hook begins, in a container that must run.
func (s *starter) ExecCreate(ctx context.Context, id string, o client.ExecCreateOptions) (client.ExecCreateResult, error) {
	if err := s.await(ctx, id); err != nil {
		return client.ExecCreateResult{}, err
	}
	return s.APIClient.ExecCreate(ctx, id, o)
}

// wait waits for all starts and returns the errors of those that failed, by
// instance.
func (s *starter) wait() map[string]error {
	s.work.Wait()
	failed := map[string]error{}
	for id, begun := range s.starts {
		if begun.err != nil {
			failed[s.plan.names[id]] = begun.err
		}
	}
	return failed
}
