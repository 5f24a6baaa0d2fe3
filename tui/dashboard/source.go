package dashboard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/record"
)

// How often the source gives what.
const (
	batchEvery    = 33 * time.Millisecond
	snapshotEvery = 200 * time.Millisecond
	recordEvery   = time.Second
	statsEvery    = time.Second
)

// rest is how much longer than a fetch has taken nothing is fetched: the record of a
// run of days is long, and may cost a twentieth of the time at most.
const rest = 20

// What waits at most for who draws.
const (
	maxPendingLines  = 5000
	maxPendingBytes  = 4 << 20
	maxPendingEvents = 2000
)

// source turns the control API into messages.
//
//	events, lines ---> pending --(33 ms)--------> batchMsg
//	       | something has changed
//	       +--> snapshot, 5 a second at most ---> snapshotMsg
//	       +--> record, 1 a second at most -----> recordMsg
//	samples ------------------------------------> statsMsg
//
// A message is given when the one before has been taken. What comes meanwhile gathers,
// and has an end.
type source struct {
	api       API
	keepColor bool
	out       chan tea.Msg // closed when nothing more comes

	changed, recorded chan struct{} // capacity 1: something is to be fetched

	mu      sync.Mutex // guards what follows
	pending batchMsg
	bytes   int // of its lines
}

func newSource(api API, keepColor bool) *source {
	return &source{
		api: api, keepColor: keepColor, out: make(chan tea.Msg),
		changed: make(chan struct{}, 1), recorded: make(chan struct{}, 1),
	}
}

// next waits for a message: a command. It gives nil when nothing more comes.
func (s *source) next() tea.Msg { return <-s.out }

// run returns when the context is over, or the project's supervisor has ended.
func (s *source) run(ctx context.Context) {
	defer close(s.out)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	snapshot, err := s.api.Snapshot(ctx)
	if err != nil {
		s.send(ctx, goneMsg{err})
		return
	}
	s.send(ctx, snapshotMsg{snapshot})
	want(s.recorded)
	var all sync.WaitGroup
	for _, part := range []func(context.Context){
		s.flushAll,
		func(ctx context.Context) { s.fetch(ctx, s.changed, snapshotEvery, s.snapshot) },
		func(ctx context.Context) { s.fetch(ctx, s.recorded, recordEvery, s.record) },
		s.stats,
	} {
		all.Go(func() {
			defer s.catch(ctx)
			part(ctx)
		})
	}
	err = s.api.Follow(ctx, control.FollowOptions{Life: snapshot.Life, Logs: true, Restarted: func(control.Snapshot) { want(s.changed) }}, func(r control.Record) error {
		s.take(r.Event)
		return nil
	})
	s.flush(ctx)
	s.send(ctx, goneMsg{err})
	cancel()
	all.Wait()
}

// catch ends the dashboard at a panic, which else would leave the terminal as it is.
func (s *source) catch(ctx context.Context) {
	if r := recover(); r != nil {
		s.send(ctx, goneMsg{fmt.Errorf("a part of the dashboard has failed: %v", r)})
	}
}

func (s *source) send(ctx context.Context, m tea.Msg) {
	select {
	case s.out <- m:
	case <-ctx.Done():
	}
}

// want says that something is to be fetched.
func want(what chan struct{}) {
	select {
	case what <- struct{}{}:
	default: // it is, already
	}
}

// take adds an event to what is pending. What is older than that gives way.
func (s *source) take(e event.Event) {
	if e.Type != event.Log {
		want(s.changed)
		want(s.recorded)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Type == event.Log:
		l := lineOf(e, s.keepColor)
		s.pending.lines = append(s.pending.lines, l)
		for s.bytes += l.size(); len(s.pending.lines) > maxPendingLines || s.bytes > maxPendingBytes; s.pending.lost++ {
			s.bytes -= s.pending.lines[0].size()
			s.pending.lines = s.pending.lines[1:]
		}
	case len(s.pending.events) < maxPendingEvents:
		s.pending.events = append(s.pending.events, e)
	default:
		s.pending.lost++
	}
}

func lineOf(e event.Event, keepColor bool) logLine {
	text := safe(e.Message, keepColor)
	l := logLine{at: e.Time, service: e.Service, instance: e.Instance, text: text, plain: text}
	if keepColor && !isPlain(text) {
		if plain := ansi.Strip(text); len(plain) != len(text) {
			l.plain = plain
		}
	}
	return l
}

func (s *source) flushAll(ctx context.Context) {
	ticker := time.NewTicker(batchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.flush(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (s *source) flush(ctx context.Context) {
	s.mu.Lock()
	batch := s.pending
	s.pending, s.bytes = batchMsg{}, 0
	s.mu.Unlock()
	if len(batch.events)+len(batch.lines)+batch.lost > 0 {
		s.send(ctx, batch)
	}
}

// fetch calls get when it is wanted, and not more often than every so often.
func (s *source) fetch(ctx context.Context, wanted <-chan struct{}, every time.Duration, get func(context.Context) tea.Msg) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-wanted:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		msg := get(ctx)
		pause.Reset(max(every, rest*time.Since(began)))
		if msg != nil {
			s.send(ctx, msg)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// snapshot: where there is none, Follow says so.
func (s *source) snapshot(ctx context.Context) tea.Msg {
	now, err := s.api.Snapshot(ctx)
	if err != nil {
		return nil
	}
	return snapshotMsg{now}
}

// record: one that cannot be read is one that is not shown.
func (s *source) record(ctx context.Context) tea.Msg {
	lines, err := s.api.Record(ctx)
	if err != nil {
		return nil
	}
	run, err := record.Read(lines)
	if errors.Join(err, lines.Close()) != nil {
		return nil
	}
	return recordMsg{run}
}

func (s *source) stats(ctx context.Context) {
	_ = s.api.Stats(ctx, statsEvery, func(sample control.Stats) error { // without samples there is no traffic to show
		s.send(ctx, statsMsg{sample})
		return ctx.Err()
	})
}
