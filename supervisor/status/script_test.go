package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
)

// start is when every test begins.
var start = time.Unix(1_000_000, 0).UTC()

func after(d time.Duration) time.Time { return start.Add(d) }

// plan has a database with two ports and a healthcheck of its own choosing, a
// server without declared ports and a job.
func plan() *compose.Plan {
	tcp := func(n uint16) compose.Port { return compose.Port{Number: n, Protocol: "tcp"} }
	healthy := compose.Settings{Ready: compose.ReadyHealthy}
	one := func(service string) []compose.Instance { return []compose.Instance{{Name: service + "-1", Index: 1}} }
	return &compose.Plan{Services: []compose.Service{
		{Name: "api", Runtime: compose.Process, Instances: one("api"), Settings: healthy, Gates: []compose.Gate{{Service: "db"}, {Service: "job"}}},
		{Name: "db", Runtime: compose.Engine, Instances: one("db"), Settings: healthy, Ports: []compose.Port{tcp(5432), tcp(8008), {Number: 53, Protocol: "udp"}}},
		{Name: "job", Runtime: compose.Process, Instances: one("job"), Settings: healthy},
	}}
}

// script turns lines into events: "MILLISECONDS INSTANCE WHAT". A line "MS" alone
// is a tick.
func script(t *testing.T, lines string) (events []event.Event) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		fields := strings.Fields(line)
		var ms int
		if _, err := fmt.Sscan(fields[0], &ms); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		e := event.Event{Time: after(time.Duration(ms) * time.Millisecond)}
		if len(fields) > 2 {
			e.Instance = fields[1]
			e.Service, _, _ = strings.Cut(e.Instance, "-")
			fill(t, &e, fields[2], fields[3:])
		}
		events = append(events, e)
	}
	return events
}

func fill(t *testing.T, e *event.Event, what string, rest []string) {
	t.Helper()
	scan := func(to ...any) {
		if _, err := fmt.Sscan(strings.Join(rest, " "), to...); err != nil {
			t.Fatalf("%s %q: %v", what, rest, err)
		}
	}
	switch what {
	case "starts":
		e.Type, e.PID = event.Started, 77
	case "listens":
		e.Type = event.Listening
		scan(&e.Port)
	case "serves", "healthy", "unhealthy":
		e.Type = map[string]event.Type{"serves": event.Serving, "healthy": event.Healthy, "unhealthy": event.Unhealthy}[what]
	case "waits", "connects":
		e.Type = map[string]event.Type{"waits": event.HoldBegan, "connects": event.Connected}[what]
		scan(&e.Target, &e.Port)
		e.Hold = uint64(e.Time.UnixMilli())
	case "released": // of the hold that began at; if none did, the connect was refused at once
		var ms int64
		scan(&ms)
		e.Type, e.Hold = event.HoldEnded, uint64(start.UnixMilli()+ms)
	case "exited", "restarting", "failed", "starting", "created", "stopping":
		e.Type, e.State = event.StateChanged, event.State(what)
		if len(rest) > 0 {
			scan(&e.Code)
		}
	default:
		t.Fatalf("unknown: %s", what)
	}
}

// play gives the events to a tracker, and returns those that follow as text.
func play(tr *Tracker, events []event.Event) (out []string) {
	for _, e := range events {
		follows := tr.Tick
		if e.Type != "" {
			follows = func(time.Time) []event.Event { return tr.Add(e) }
		}
		for _, f := range follows(e.Time) {
			text := fmt.Sprintf("%d %s %s", f.Time.Sub(start).Milliseconds(), f.Instance, f.State)
			if f.Type == event.Ready {
				text = fmt.Sprintf("%d %s is ready after %v", f.Time.Sub(start).Milliseconds(), f.Instance, f.Elapsed)
			}
			out = append(out, text)
		}
	}
	return out
}
