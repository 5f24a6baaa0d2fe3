package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// What happens to a container, told by Watch. At is the engine's time of it.
type (
	// Began says that the container runs.
	Began struct {
		Instance string
		At       time.Time
	}
	// Ended says that its program has ended.
	Ended struct {
		Instance string
		Code     int // 0 where the engine does not know any more
		Then     Then
		At       time.Time
	}
	// Health is what its healthcheck says. It may be told once more after a
	// takeover.
	Health struct {
		Instance string
		Healthy  bool
		At       time.Time
	}
	// Lost says that the engine does not answer any more; Watch tries again.
	Lost struct{ Err error }
	// Back says that it answers again, before what has happened meanwhile is told.
	Back struct{}
)

// Then is what is to be expected after an end.
type Then int

// The expectations.
const (
	Over      Then = iota // it has ended by itself, and for good
	Restarts              // the engine restarts it, by its restart policy
	MayReturn             // somebody ended it through the engine, maybe to restart it
)

const (
	reconnectInterval = 500 * time.Millisecond
	// overlap is how far back a stream of events begins before what has been seen:
	// the engine gives an event its time a moment before its place in the stream.
	overlap = time.Second
)

// Watch tells what happens to the project's containers from since on, in order,
// until ctx ends: what the engine has noted already, then what comes. Since is the
// moment of Create, or, in a process that takes over, the time of the last thing
// that the one before was told: nothing is lost in between, and nothing comes
// twice. Containers that are made later are known too. The output of containers
// that run goes on from the line that was told last, of others from since.
func (r *Runtime) Watch(ctx context.Context, since time.Time, tell func(any)) {
	w := &watcher{Runtime: r, tell: tell, history: newHistory(since)}
	for {
		err := w.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		tell(Lost{explain(r.Engine.api.DaemonHost(), err)})
		if !w.awaitEngine(ctx) {
			return
		}
		tell(Back{})
	}
}

// watcher is the state of Watch.
type watcher struct {
	*Runtime
	tell    func(any)
	history *history
}

// watch tells what has happened and what happens until the engine ends the
// stream. What the engine answers about containers is compared with the events
// before that, for it does not remember all of them, and none after a restart.
func (w *watcher) watch(ctx context.Context) error {
	asked := time.Now()
	all, err := w.all(ctx)
	if err != nil {
		return err
	}
	until := time.Now()
	if err := w.stream(ctx, client.EventsListOptions{Since: "1", Until: stamp(until)}); !errors.Is(err, io.EOF) {
		return err
	}
	for _, c := range w.history.compare(asked, all) {
		w.changed(ctx, c)
	}
	for c, d := range all {
		if d.IsRunning() {
			w.outputs.resume(c, w.history.since)
		}
	}
	return w.stream(ctx, client.EventsListOptions{Since: stamp(until.Add(-overlap))})
}

func stamp(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// stream tells events until they end, with io.EOF if nothing is wrong.
func (w *watcher) stream(ctx context.Context, o client.EventsListOptions) error {
	o.Filters = make(client.Filters).
		Add("type", string(events.ContainerEventType)).
		Add("label", api.ProjectLabel+"="+w.name).
		Add("label", api.OneoffLabel+"=False")
	result := w.Engine.api.Events(ctx, o)
	for {
		select {
		case m := <-result.Messages:
			c, ok := newRef(m.Actor.ID, m.Actor.Attributes)
			if !ok {
				continue
			}
			if change, isNew := w.history.event(c, m); isNew {
				w.changed(ctx, change)
			}
		case err := <-result.Err:
			return err
		}
	}
}

func (w *watcher) changed(ctx context.Context, c change) {
	switch c.what {
	case events.ActionStart:
		w.outputs.follow(c.ref)
		w.tell(Began{c.instance, c.at})
	case events.ActionDie:
		w.outputs.finish(c.ref)
		w.tell(Ended{c.instance, c.code, w.then(ctx, c.id), c.at})
	default:
		w.tell(Health{c.instance, c.what == events.ActionHealthStatusHealthy, c.at})
	}
}

// then finds out what follows an end. The engine says that it restarts a
// container by its policy, but not that somebody has asked for a restart.
func (w *watcher) then(ctx context.Context, id string) Then {
	d, err := w.Engine.details(ctx, id)
	f := w.history.facts[id]
	switch {
	case cerrdefs.IsNotFound(err):
		return Over
	case err == nil && d.IsRunning():
		return Restarts
	case f != nil && f.isAsked:
		return MayReturn
	}
	return Over
}

// awaitEngine waits until the engine answers again. What it tells from then on
// is what has happened since the newest event.
func (w *watcher) awaitEngine(ctx context.Context) bool {
	again := time.NewTicker(reconnectInterval)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-again.C:
		}
		if _, err := w.Engine.api.Ping(ctx, client.PingOptions{}); err == nil {
			return true
		}
	}
}
