package dashboard

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/status"
)

// crowd is a project with so many services, each of which waits for another.
func crowd(count int, now time.Time) control.Snapshot {
	s := control.Snapshot{Project: "crowd", Phase: control.Starting, Started: now}
	for n := range count {
		name := fmt.Sprintf("service%d", n)
		s.Instances = append(s.Instances, status.Status{
			Service: name, Instance: name + "-1", State: event.StateWaiting, Declared: []uint16{80}, Missing: "waits",
			WaitingOn: []status.Wait{{Target: "service0", Port: 80, Since: now, Cause: "service0 does not listen yet", Count: 1}},
		})
		s.Edges = append(s.Edges, status.Edge{Client: name, Target: "service0", Port: 80, Protocol: "tcp", Observed: true, Count: 3})
	}
	return s
}

// linesFor are as many lines as come in a batch at a rate.
func linesFor(perSecond int, now time.Time) (lines []logLine) {
	for n := range int(float64(perSecond) * batchEvery.Seconds()) {
		e := event.Event{
			Type: event.Log, Time: now, Service: "service1", Instance: "service1-1",
			Message: fmt.Sprintf("\x1b[32mINFO\x1b[0m request %d to /things took %d ms and was answered with 200", n, n%97),
		}
		lines = append(lines, lineOf(e, true))
	}
	return lines
}

// BenchmarkFrame is one frame of 100 services that write 5,000 lines a second: what has
// come in 33 ms is taken, a snapshot too, and the screen drawn.
func BenchmarkFrame(b *testing.B) {
	for _, keys := range []string{"", "2", "3", "3 / t o o k enter", "3 W"} {
		b.Run("keys "+strings.ReplaceAll(keys, "/", "search"), func(b *testing.B) {
			now := time.Now()
			m := newModel(Options{Project: "crowd", Color: true, API: &fake{}}, newSource(&fake{}, true), now)
			m.Update(tea.WindowSizeMsg{Width: 120, Height: 40})
			m.Update(snapshotMsg{crowd(100, now)})
			batch := batchMsg{lines: linesFor(5000, now)}
			for m.log.count < maxLines {
				m.Update(batch)
			}
			pressAll(m, keys)
			for b.Loop() {
				m.Update(batch)
				m.Update(snapshotMsg{m.snapshot})
				m.render()
			}
		})
	}
}

// TestMemory holds that what is kept has an end, whatever comes.
func TestMemory(t *testing.T) {
	m := newModel(Options{Project: "crowd", API: &fake{}}, newSource(&fake{}, true), time.Now())
	m.Update(snapshotMsg{crowd(10, time.Now())})
	pressAll(m, "3 & x enter / y enter")
	line := lineOf(event.Event{Service: "service1", Instance: "service1-1", Message: strings.Repeat("xy", 6000)}, true)
	for range 1000 {
		b := batchMsg{}
		for range 100 {
			b.lines = append(b.lines, line)
			b.events = append(b.events, event.Event{Type: event.Listening, Service: "service1"})
		}
		m.Update(b)
	}
	r := m.log
	if r.count > maxLines || r.bytes > maxLineBytes || len(r.lines) > maxLines || r.count == 0 {
		t.Errorf("%d lines with %d bytes in room for %d", r.count, r.bytes, len(r.lines))
	}
	if want := r.count + m.services.height; cap(m.logs.shown.numbers) > 4*maxLines || len(m.logs.found.numbers) > want {
		t.Errorf("an index has %d numbers in room for %d", len(m.logs.found.numbers), cap(m.logs.shown.numbers))
	}
	if n := len(m.events["service1"]); n > 2*maxEvents {
		t.Errorf("%d events are kept", n)
	}
	if got, want := r.dropped+uint64(r.count), uint64(100_000); got != want {
		t.Errorf("%d lines were kept or dropped, want %d", got, want)
	}
}

// maxAhead is how many messages may be before a key at most: one of the source, the
// clock, the end of a scan and that of a timeline.
const maxAhead = 4

// TestKeysUnderLoad runs the loop with a service that writes as fast as it can. Of what
// the source gives one message is under way at a time, so a key waits for few others.
func TestKeysUnderLoad(t *testing.T) {
	ctx := t.Context()
	line := event.Event{Type: event.Log, Service: "service1", Instance: "service1-1", Message: "again and again"}
	api := &fake{snapshot: crowd(100, time.Now())}
	api.emit = func(handle func(control.Record) error) error {
		for ctx.Err() == nil {
			if err := handle(control.Record{Event: line}); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	feed := newSource(api, true)
	go feed.run(ctx)
	m := newModel(Options{Project: "crowd", API: api, Since: time.Now()}, feed, time.Now())
	queue := []tea.Cmd{feed.next}
	for turn, keyAt := 0, 5; turn < 200; turn++ {
		if len(queue) > maxAhead {
			t.Fatalf("%d messages are under way", len(queue))
		}
		if turn == keyAt {
			view := m.view
			queue = append(queue, func() tea.Msg { return pressed("tab") })
			for range maxAhead {
				queue = step(m, queue)
			}
			if m.view == view {
				t.Fatalf("a key was not answered after %d messages", maxAhead)
			}
			keyAt += 5
			continue
		}
		queue = step(m, queue)
		if n := len(feed.pendingLines()); n > maxPendingLines {
			t.Fatalf("%d lines are pending", n)
		}
	}
	if m.log.count == 0 {
		t.Error("no line has come")
	}
}

// step takes the message of the oldest command, and queues those that follow.
func step(m *Model, queue []tea.Cmd) []tea.Cmd {
	msg := queue[0]()
	if all, isBatch := msg.(tea.BatchMsg); isBatch { // the library runs them, too
		return append(queue[1:], all...)
	}
	_, cmd := m.Update(msg)
	if cmd == nil {
		return queue[1:]
	}
	return append(queue[1:], cmd)
}

func (s *source) pendingLines() []logLine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.lines
}

// TestSourceEnds holds that the source ends with the context, and says why nothing more
// comes.
func TestSourceEnds(t *testing.T) {
	api := &fake{fails: errors.New("nobody is there")}
	feed := newSource(api, true)
	go feed.run(t.Context())
	gone, ok := feed.next().(goneMsg)
	if !ok || gone.err == nil {
		t.Fatalf("the first message is %v, want that nobody is there", gone)
	}
	if more := feed.next(); more != nil {
		t.Errorf("after the end there is %v", more)
	}
}
