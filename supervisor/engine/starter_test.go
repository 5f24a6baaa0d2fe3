package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/moby/client"
)

// slowEngine takes a second for each start, and notes who starts when.
type slowEngine struct {
	client.APIClient
	begin time.Time
	fails map[string]error

	mu     sync.Mutex
	starts map[string]time.Duration
	most   int // starts at once
	now    int
}

func (e *slowEngine) ContainerStart(_ context.Context, id string, _ client.ContainerStartOptions) (client.ContainerStartResult, error) {
	e.mu.Lock()
	e.starts[id] = time.Since(e.begin)
	e.now++
	e.most = max(e.most, e.now)
	e.mu.Unlock()
	time.Sleep(time.Second) //nolint:forbidigo // inside a synctest bubble
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now--
	return client.ContainerStartResult{}, e.fails[id]
}

func (e *slowEngine) ExecCreate(context.Context, string, client.ExecCreateOptions) (client.ExecCreateResult, error) {
	return client.ExecCreateResult{ID: time.Since(e.begin).String()}, nil
}

// newSlow returns a starter of containers a, b, ... whose instances are named a-1
// and so on.
func newSlow(ids ...string) (*starter, *slowEngine, *[]string) {
	e := &slowEngine{begin: time.Now(), starts: map[string]time.Duration{}, fails: map[string]error{}}
	var started []string
	var mu sync.Mutex
	plan := startPlan{
		names: map[string]string{}, needs: map[string][]string{}, choosy: map[string]bool{},
		prepare: func(string) {},
		started: func(instance string) {
			mu.Lock()
			defer mu.Unlock()
			started = append(started, instance)
		},
	}
	for _, id := range ids {
		plan.names[id] = id + "-1"
	}
	return newStarter(e, plan), e, &started
}

func (s *starter) startAll(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e, started := newSlow("a", "b", "c")
		s.startAll(t, "a", "b", "c")
		if failed := s.wait(); len(failed) > 0 || time.Since(e.begin) != time.Second || e.most != 3 {
			t.Errorf("failed %v after %v, %d at once", failed, time.Since(e.begin), e.most)
		}
		slices.Sort(*started)
		if want := []string{"a-1", "b-1", "c-1"}; !slices.Equal(*started, want) {
			t.Errorf("told of %v, want %v", *started, want)
		}
	})
}

func TestStartsAfterNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e, _ := newSlow("a", "b")
		s.plan.needs["b"] = []string{"a"}
		s.startAll(t, "a", "b")
		s.wait()
		if e.starts["b"] != time.Second {
			t.Errorf("b, which shares a's network, started after %v", e.starts["b"])
		}
	})
}

func TestStartOfNeededFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e, _ := newSlow("a", "b")
		s.plan.needs["b"] = []string{"a"}
		e.fails["a"] = errors.New("no space")
		s.startAll(t, "a", "b")
		failed := s.wait()
		need, is := errors.AsType[*NeedError](failed["b-1"])
		if _, tried := e.starts["b"]; tried || !is || need.Instance != "a-1" || failed["a-1"] == nil {
			t.Errorf("failed: %v; b was tried: %v", failed, tried)
		}
	})
}

func TestStartsOfChosenPortsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e, _ := newSlow("a", "b", "c")
		s.plan.choosy["a"], s.plan.choosy["b"] = true, true
		s.startAll(t, "a", "b", "c")
		s.wait()
		if e.most != 2 || time.Since(e.begin) != 2*time.Second {
			t.Errorf("%d at once, %v in all", e.most, time.Since(e.begin))
		}
	})
}

func TestStartOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e, _ := newSlow("a")
		s.startAll(t, "hook")
		if time.Since(e.begin) != time.Second {
			t.Error("the start of a hook's container was not waited for")
		}
	})
}

func TestHookWaitsForStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e, _ := newSlow("a", "b")
		e.fails["b"] = errors.New("no space")
		s.startAll(t, "a", "b")
		result, err := s.ExecCreate(t.Context(), "a", client.ExecCreateOptions{})
		if err != nil || result.ID != time.Second.String() {
			t.Errorf("a hook ran after %s (%v), its container starts within a second", result.ID, err)
		}
		if _, err := s.ExecCreate(t.Context(), "b", client.ExecCreateOptions{}); err == nil {
			t.Error("a hook ran in a container that did not start")
		}
		s.wait()
	})
}
