package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/internal/event"
)

func TestText(t *testing.T) {
	t.Parallel()
	now := after(time.Minute)
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, test := range []struct {
		status Status
		want   string
	}{
		{Status{State: event.Created}, "created"},
		{Status{State: event.Starting}, "starting"},
		{Status{State: event.Starting, Started: before(1230 * time.Millisecond)}, "starting (1.2 s)"},
		{Status{State: event.Starting, Started: before(time.Second), Health: Unhealthy, HealthDecides: true}, "unhealthy"},
		{Status{State: event.Starting, Started: before(12 * time.Second), Job: true}, "running (12 s)"},
		{Status{State: event.StateWaiting, Started: before(time.Second)}, "waiting"},
		{Status{State: event.StateListening, Serving: true, Health: Checking, HealthDecides: true}, "listening, not healthy yet"},
		{Status{State: event.StateListening, Serving: true, Health: Unhealthy, HealthDecides: true}, "listening, unhealthy"},
		{Status{State: event.StateListening, Declared: []uint16{1, 2}, Ports: []uint16{1}, Health: Checking, HealthDecides: true}, "listening, not ready yet"},
		{Status{State: event.StateReady, ReadyAfter: 40 * time.Millisecond}, "ready (40 ms)"},
		{Status{State: event.StateReady, ReadyAfter: 1}, "ready"},
		{Status{State: event.StateStopping}, "stopping"},
		{Status{State: event.Restarting, Code: 1, RestartAt: now.Add(3200 * time.Millisecond)}, "restarting, again in 3.2 s (exit 1)"},
		{Status{State: event.Restarting, Code: 1, RestartAt: before(time.Second)}, "restarting (exit 1)"},
		{Status{State: event.Exited, ExitedAt: before(5100 * time.Millisecond)}, "exited (0) 5.1 s ago"},
		{Status{State: event.Exited, Code: 3}, "exited (3)"},
		{Status{State: event.Exited, Code: 143, Stopped: true, ExitedAt: before(3 * time.Hour)}, "stopped 3 h ago"},
		{Status{State: event.Failed, Message: "migrate exited with code 1"}, "failed: migrate exited with code 1"},
		{Status{State: event.Failed}, "failed"},
	} {
		if got := test.status.Text(now); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.status, got, test.want)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 99 * time.Millisecond: "99 ms", 9990 * time.Millisecond: "9.9 s", 119 * time.Second: "119 s",
		119 * time.Minute: "119 min", 47 * time.Hour: "47 h", 72 * time.Hour: "3 days",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

// A service whose end others wait for is not ready before it has ended, whatever
// it does until then; one that others want healthy is no such job.
func TestJob(t *testing.T) {
	t.Parallel()
	p := plan()
	p.Services[0].Gates[1].Condition = compose.Completed
	tr := NewTracker(p, true)
	events := "0 job-1 starting\n0 job-1 starts\n10 job-1 listens 80\n10 job-1 serves\n5000"
	if diff := cmp.Diff([]string{"10 job-1 listening"}, play(tr, script(t, events))); diff != "" {
		t.Errorf("events that follow (-want +got):\n%s", diff)
	}
	if at, ok := tr.Next(); ok {
		t.Errorf("a tick is wanted at %v", at)
	}
	job := tr.View().Instances[2]
	if !job.Job || job.Ready || job.Missing != "has not completed" {
		t.Errorf("it is %+v", job)
	}
	if done, _, waiting := Waiting([]Status{job}); done || len(waiting) != 1 || waiting[0] != "job-1 has not completed" {
		t.Errorf("waiting is done: %t, for %q", done, waiting)
	}
	play(tr, script(t, "6000 job-1 exited"))
	if done, _, _ := Waiting(tr.View().Instances[2:]); !done {
		t.Error("it has completed, and is waited for")
	}
	p.Services[1].Gates = []compose.Gate{{Service: "job", Condition: compose.Healthy}}
	tr.Update(p)
	if tr.View().Instances[2].Job {
		t.Error("it counts as a job, and another waits until it is healthy")
	}
}

// Who was asked to end has not exited by itself.
func TestStopped(t *testing.T) {
	t.Parallel()
	tr := NewTracker(plan(), true)
	is := func(events string, want bool) {
		t.Helper()
		play(tr, script(t, events))
		if got := tr.View().Instances[2].Stopped; got != want {
			t.Errorf("stopped is %t, want %t", got, want)
		}
	}
	is("0 job-1 starting\n0 job-1 starts\n5 job-1 stopping", false)
	is("9 job-1 exited 143", true)
	is("20 job-1 starting\n21 job-1 starts", false)
	is("30 job-1 exited", false)
}
