package supervisor

import (
	"strings"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
)

func TestReadiness(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_000_000, 0)
	state := func(instance string, s event.State, code int) event.Event {
		return event.Event{Type: event.StateChanged, Instance: instance, State: s, Code: code}
	}
	is := func(kind event.Type, instance string) event.Event {
		return event.Event{Type: kind, Instance: instance, Time: start, Hold: 1, Target: "db", Port: 5432}
	}
	for _, test := range []struct {
		name    string
		events  []event.Event
		after   time.Duration
		want    string // "ready", what failed, or what is missing
		running bool
	}{
		{"nothing yet", nil, 0, "db-1 has not started; job-1 has not started", false},
		{"started", []event.Event{is(event.Started, "db-1"), is(event.Started, "job-1")}, 0, "db-1 does not listen on its ports yet; job-1 has just started", true},
		{"calm", []event.Event{is(event.Started, "db-1"), is(event.Started, "job-1")}, time.Second, "db-1 does not listen on its ports yet", true},
		{"ready", []event.Event{is(event.Started, "db-1"), is(event.Started, "job-1"), is(event.Ready, "db-1")}, time.Second, "ready", true},
		{
			"held",
			[]event.Event{is(event.Started, "db-1"), is(event.Started, "job-1"), is(event.Ready, "db-1"), is(event.HoldBegan, "job-1")},
			time.Hour,
			"job-1 waits for db:5432", true,
		},
		{
			"released",
			[]event.Event{is(event.Started, "db-1"), is(event.Started, "job-1"), is(event.Ready, "db-1"), is(event.HoldBegan, "job-1"), is(event.HoldEnded, "job-1")},
			time.Second,
			"ready", true,
		},
		{
			"a job that is done",
			[]event.Event{is(event.Started, "db-1"), is(event.Started, "job-1"), is(event.Ready, "db-1"), state("job-1", event.Exited, 0)},
			0,
			"ready", true,
		},
		{
			"a job that failed",
			[]event.Event{is(event.Started, "db-1"), is(event.Started, "job-1"), state("job-1", event.Exited, 3)},
			0,
			"job-1 exited with code 3", true,
		},
		{
			"a restart",
			[]event.Event{is(event.Started, "db-1"), is(event.Started, "job-1"), is(event.Ready, "db-1"), state("db-1", event.Restarting, 1)},
			time.Second,
			"db-1 exited with code 1 and restarts", false,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := NewReadiness(&compose.Plan{Services: []compose.Service{
				{Name: "db", Ports: []compose.Port{{Number: 5432, Protocol: "tcp"}}, Instances: instances("db", 1), Settings: compose.Settings{Ready: compose.ReadyHealthy}},
				{Name: "job", Instances: instances("job", 1), Settings: compose.Settings{Ready: compose.ReadyHealthy}},
			}})
			for _, e := range test.events {
				r.Add(e)
			}
			ready, failed, waiting := r.Ready(start.Add(test.after))
			got := strings.Join(waiting, "; ")
			if ready {
				got = "ready"
			}
			if got += failed; got != test.want || r.Running() != test.running {
				t.Errorf("got %q, running %v; want %q, %v", got, r.Running(), test.want, test.running)
			}
		})
	}
}

// A healthcheck decides where there is one, unless the service says otherwise.
func TestReadinessHealth(t *testing.T) {
	t.Parallel()
	for _, ready := range []compose.Ready{compose.ReadyHealthy, compose.ReadyListen} {
		r := NewReadiness(&compose.Plan{Services: []compose.Service{
			{Name: "db", Instances: instances("db", 1), Settings: compose.Settings{Ready: ready}},
		}})
		r.HasCheck("db-1")
		now := time.Unix(1_000_000, 0)
		r.Add(event.Event{Type: event.Started, Instance: "db-1", Time: now})
		r.Add(event.Event{Type: event.Ready, Instance: "db-1"})
		if is, _, _ := r.Ready(now); is != (ready == compose.ReadyListen) {
			t.Errorf("x-upall.ready %s: ready before it is healthy: %v", ready, is)
		}
		r.Add(event.Event{Type: event.Healthy, Instance: "db-1"})
		if is, _, _ := r.Ready(now); !is {
			t.Errorf("x-upall.ready %s: not ready when it is healthy", ready)
		}
		r.Add(event.Event{Type: event.Unhealthy, Instance: "db-1"})
		if is, _, waiting := r.Ready(now); ready == compose.ReadyHealthy && (is || waiting[0] != "db-1 is not healthy yet") {
			t.Errorf("unhealthy: ready %v, %q", is, waiting)
		}
	}
}
