package dashboard

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/record"
	"upall/supervisor/status"
)

// A run was recorded by these commands, and by /v1/stats:
//
//	upall up --no-tui --events NAME.events
//	curl --unix-socket SOCKET http://upall/v1/record >NAME.record

// fixture is what a run had come to at one moment.
type fixture struct {
	snapshot control.Snapshot
	batch    batchMsg
	stats    control.Stats
	run      *record.Run
	now      time.Time
}

// recorded folds the recorded run up to a moment after its start.
func recorded(t testing.TB, name string, until time.Duration) fixture {
	t.Helper()
	run, err := record.Read(bytes.NewReader(testdata(t, name+".record")))
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{run: run, now: run.Started.Add(until)}
	run.Events = before(run.Events, f.now)
	tracker := status.NewTracker(planOf(run.Plan), true)
	phase := control.Starting
	for _, e := range before(eventsOf(t, name), f.now) {
		for at, ok := tracker.Next(); ok && !at.After(e.Time); at, ok = tracker.Next() {
			tracker.Tick(at)
		}
		tracker.Add(e)
		if e.Type == event.ProjectChanged && e.State == event.StateUp {
			phase = control.Up
		}
		if e.Type == event.Log {
			f.batch.lines = append(f.batch.lines, lineOf(e, true))
		} else {
			f.batch.events = append(f.batch.events, e)
		}
	}
	view := tracker.View()
	f.snapshot = control.Snapshot{
		Project: run.Project, Phase: phase, Started: run.Started, Life: 1,
		Instances: view.Instances, Holds: view.Holds, Edges: view.Edges, Diagnoses: view.Diagnoses,
	}
	if err := json.Unmarshal(testdata(t, name+".stats"), &f.stats); err != nil {
		t.Fatal(err)
	}
	return f
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func eventsOf(t testing.TB, name string) (all []event.Event) {
	t.Helper()
	for d := json.NewDecoder(bytes.NewReader(testdata(t, name+".events"))); d.More(); {
		var e event.Event
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func before(all []event.Event, end time.Time) (some []event.Event) {
	for _, e := range all {
		if !e.Time.After(end) {
			some = append(some, e)
		}
	}
	return some
}

// planOf is as much of a plan as a record keeps.
func planOf(p record.Plan) *compose.Plan {
	plan := &compose.Plan{}
	for _, s := range p.Services {
		service := compose.Service{Name: s.Name, Runtime: s.Runtime, Ports: s.Ports, Published: s.Published, Gates: s.Gates}
		for _, name := range s.Instances {
			service.Instances = append(service.Instances, compose.Instance{Name: name})
		}
		if s.HasHealth {
			service.Health = &compose.Healthcheck{}
		}
		plan.Services = append(plan.Services, service)
	}
	return plan
}

// model is a dashboard that has heard all of this.
func (f fixture) model(options Options) *Model {
	options.Project = f.snapshot.Project
	options.Since = f.now
	m := newModel(options, newSource(options.API, options.Color), f.now)
	for _, msg := range []tea.Msg{snapshotMsg{f.snapshot}, f.batch, recordMsg{f.run}} {
		m.Update(msg)
	}
	// Two samples, for a sparkline has to be of something.
	m.Update(statsMsg{f.stats})
	m.Update(statsMsg{f.stats})
	m.drawing, m.drawn = false, 0
	m.Update(m.drawTimeline()())
	return m
}
