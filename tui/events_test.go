package tui

import (
	"strings"
	"testing"
	"time"

	"upall/internal/event"
	"upall/internal/testenv"
)

// TestEvents has one of each kind.
func TestEvents(t *testing.T) {
	at := time.Date(2024, 2, 29, 12, 0, 0, 120_000_000, time.UTC)
	of := func(kind event.Type, instance string) event.Event {
		service, _, _ := strings.Cut(instance, "-")
		return event.Event{Type: kind, Service: service, Instance: instance}
	}
	with := func(e event.Event, change func(*event.Event)) event.Event {
		change(&e)
		return e
	}
	restarting := with(state("api-1", event.Restarting, 1), func(e *event.Event) { e.At = at.Add(18*time.Second + 200*time.Millisecond) })
	events := []event.Event{
		{Type: event.ProjectChanged, State: event.Starting},
		state("db-1", event.Starting, 0),
		with(of(event.Started, "db-1"), func(e *event.Event) { e.PID = 77 }),
		line("db-1", "not shown"),
		began(1, "api-1", "db", 5432),
		state("api-1", event.StateWaiting, 0),
		with(of(event.Listening, "db-1"), func(e *event.Event) { e.Port = 5432 }),
		state("db-1", event.StateListening, 0),
		with(of(event.Serving, "db-1"), func(e *event.Event) { e.Elapsed = 1200 * time.Millisecond }),
		state("db-1", event.StateReady, 0),
		with(of(event.Ready, "db-1"), func(e *event.Event) { e.Elapsed = 1210 * time.Millisecond }),
		ended(1, "api-1", "db", 5432, event.Released, "", 300*time.Millisecond),
		with(of(event.Connected, "api-1"), func(e *event.Event) { e.Target, e.Port = "db", 5432 }),
		with(of(event.Unhealthy, "db-1"), func(e *event.Event) { e.Message = "no response\nat all\n" }),
		of(event.Healthy, "db-1"),
		state("db-1", event.StateReady, 0),
		{Type: event.ProjectChanged, State: event.StateUp},
		{Type: event.Crashed, Message: "upall's supervisor had died"},
		restarting,
		state("db-1", event.StateStopping, 0),
		state("db-1", event.Exited, 143),
		with(state("web-1", event.Failed, 0), func(e *event.Event) { e.Message = "no such program" }),
		{Type: event.Dropped, Count: 3},
		{Type: event.Warning, Service: "db", Message: "a warning"},
		{Type: event.ProjectChanged, State: event.Failed, Message: "why"},
		{Type: event.ProjectChanged, State: event.StateOver, Code: 3},
	}
	var b strings.Builder
	p := NewEventPrinter(&b)
	for _, e := range events {
		e.Time = at
		at = at.Add(time.Second)
		if err := p.Print(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	testenv.Golden(t, "events", b.String())
}
