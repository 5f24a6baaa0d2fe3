package engine

import (
	"context"
	"fmt"
	"strconv"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// What happens to a container, told by Watch.
type (
	// Began says that the container runs.
	Began struct{ Instance string }
	// Ended says that its program has ended.
	Ended struct {
		Instance string
		Code     int
		Then     Then
	}
	// Health is what its healthcheck says.
	Health struct {
		Instance string
		Healthy  bool
	}
	// Lost says that the engine does not answer any more; Watch tries again.
	Lost struct{ Err error }
)

// Then is what is to be expected after an end.
type Then int

// The expectations.
const (
	Over      Then = iota // it has ended by itself, and for good
	Restarts              // the engine restarts it, by its restart policy
	MayReturn             // somebody ended it through the engine, maybe to restart it
)

const reconnectInterval = 500 * time.Millisecond

// Watch tells what happens to the project's containers from since on, in order,
// until ctx ends. Those that were made after Create are known too.
func (r *Runtime) Watch(ctx context.Context, since time.Time, tell func(any)) {
	w := &watcher{Runtime: r, tell: tell, asked: map[string]bool{}, ends: map[string]time.Time{}, last: since}
	for {
		err := w.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		tell(Lost{explain(r.Engine.api.DaemonHost(), err)})
		if !w.reconnect(ctx) {
			return
		}
	}
}

// watcher is the state of Watch.
type watcher struct {
	*Runtime
	tell  func(any)
	asked map[string]bool      // containers that somebody signalled since they began
	ends  map[string]time.Time // of containers' last runs
	last  time.Time            // of the newest event
}

// stream tells events until the engine ends the stream.
func (w *watcher) stream(ctx context.Context) error {
	result := w.Engine.api.Events(ctx, client.EventsListOptions{
		Since: fmt.Sprintf("%d.%09d", w.last.Unix(), w.last.Nanosecond()),
		Filters: make(client.Filters).
			Add("type", string(events.ContainerEventType)).
			Add("label", api.ProjectLabel+"="+w.Plan.Name).
			Add("label", api.OneoffLabel+"=False"),
	})
	for {
		select {
		case m := <-result.Messages:
			w.event(ctx, m)
		case err := <-result.Err:
			return err
		}
	}
}

func (w *watcher) event(ctx context.Context, m events.Message) {
	c, ok := newRef(m.Actor.ID, m.Actor.Attributes)
	if !ok || w.services[c.service] == nil {
		return
	}
	at := time.Unix(0, m.TimeNano)
	w.last = at.Add(1)
	switch m.Action {
	case events.ActionKill:
		w.asked[c.id] = true
	case events.ActionStart:
		delete(w.asked, c.id)
		if !w.isAttached(c.id) {
			w.follow(ctx, c, w.ends[c.id])
		}
		w.tell(Began{c.instance})
	case events.ActionDie:
		w.ends[c.id] = at
		code, _ := strconv.Atoi(m.Actor.Attributes["exitCode"]) // the engine's own number
		w.tell(Ended{c.instance, code, w.then(ctx, c.id)})
	case events.ActionHealthStatusHealthy, events.ActionHealthStatusUnhealthy:
		w.tell(Health{c.instance, m.Action == events.ActionHealthStatusHealthy})
	case events.ActionDestroy:
		delete(w.asked, c.id)
		delete(w.ends, c.id)
	}
}

// then finds out what follows an end. The engine says that it restarts a
// container by its policy, but not that somebody has asked for a restart.
func (w *watcher) then(ctx context.Context, id string) Then {
	inspected, err := w.Engine.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	state := inspected.Container.State
	switch {
	case cerrdefs.IsNotFound(err):
		return Over
	case err == nil && state != nil && (state.Restarting || state.Running):
		return Restarts
	case w.asked[id]:
		return MayReturn
	}
	return Over
}

// reconnect waits until the engine answers again, and tells what it has missed.
func (w *watcher) reconnect(ctx context.Context) bool {
	again := time.NewTicker(reconnectInterval)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-again.C:
		}
		refs, err := w.Engine.list(ctx, w.Plan.Name)
		if err != nil {
			continue
		}
		w.last = time.Now()
		for _, c := range refs {
			if w.services[c.service] == nil {
				continue
			}
			if c.running {
				w.follow(ctx, c, w.ends[c.id])
				w.tell(Began{c.instance})
			} else {
				w.tell(Ended{c.instance, w.exitCode(ctx, c.id), Over})
			}
		}
		return true
	}
}

func (r *Runtime) exitCode(ctx context.Context, id string) int {
	inspected, err := r.Engine.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil || inspected.Container.State == nil {
		return 1
	}
	return inspected.Container.State.ExitCode
}
