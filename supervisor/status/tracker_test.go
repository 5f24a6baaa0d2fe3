package status

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/internal/event"
)

func TestTracker(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, give string
		want       []string
	}{
		{"declared ports", `
			0 db-1 starting
			10 db-1 starts
			20 db-1 listens 5432
			30 db-1 listens 8008
			40 db-1 serves
			5000`, []string{"20 db-1 listening", "40 db-1 ready", "40 db-1 is ready after 30ms"}},
		{"waits, then listens", `
			0 api-1 starting
			0 api-1 starts
			10 api-1 waits db 5432
			20 api-1 waits db 5432
			30 api-1 released 10
			40 api-1 released 20
			50 api-1 listens 80
			50 api-1 serves`, []string{"10 api-1 waiting", "40 api-1 starting", "50 api-1 listening", "50 api-1 ready", "50 api-1 is ready after 50ms"}},
		{"quiet", `
			0 job-1 starts
			0 job-1 starting
			0 job-1 starts
			999
			1000
			2000`, []string{"1000 job-1 ready", "1000 job-1 is ready after 1s"}},
		{"quiet after a wait, and again", `
			0 job-1 starting
			0 job-1 starts
			900 job-1 waits db 5432
			1000
			1500 job-1 released 900
			2400
			2500
			3000 job-1 waits db 5432
			3100 job-1 released 3000
			4100`, []string{
			"900 job-1 waiting", "1500 job-1 starting", "2500 job-1 ready", "2500 job-1 is ready after 2.5s",
			"3000 job-1 waiting", "3100 job-1 starting", "4100 job-1 ready",
		}},
		{"a listener does not stop being ready when it waits", `
			0 api-1 starting
			0 api-1 starts
			10 api-1 listens 80
			10 api-1 serves
			20 api-1 waits db 5432`, []string{"10 api-1 listening", "10 api-1 ready", "10 api-1 is ready after 10ms"}},
		{"restart", `
			0 api-1 starting
			0 api-1 starts
			10 api-1 serves
			20 api-1 restarting 3
			120 api-1 starting
			130 api-1 starts
			150 api-1 serves`, []string{"10 api-1 ready", "10 api-1 is ready after 10ms", "150 api-1 ready", "150 api-1 is ready after 20ms"}},
		{"a restart that is told late", `
			0 db-1 starting
			0 db-1 starts
			10 db-1 listens 5432
			10 db-1 serves
			20 db-1 restarting 3
			110 db-1 listens 5432
			110 db-1 listens 8008
			110 db-1 serves
			120 db-1 starting
			130 db-1 starts`, []string{"10 db-1 listening", "10 db-1 ready", "10 db-1 is ready after 10ms", "130 db-1 ready", "130 db-1 is ready after 1ns"}},
		{"stopping", `
			0 api-1 starting
			0 api-1 starts
			10 api-1 serves
			20 api-1 stopping
			30 api-1 exited 143`, []string{"10 api-1 ready", "10 api-1 is ready after 10ms"}},
		{"another's event", `0 web-9 starts`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, play(NewTracker(plan(), true), script(t, test.give))); diff != "" {
				t.Errorf("events that follow (-want +got):\n%s", diff)
			}
		})
	}
}

// A healthcheck decides where there is one, unless the service says otherwise.
func TestHealth(t *testing.T) {
	t.Parallel()
	events := `
		0 db-1 starting
		0 db-1 starts
		10 db-1 listens 5432
		20 db-1 serves
		50 db-1 healthy
		90 db-1 unhealthy
		95 db-1 healthy`
	p := plan()
	p.Services[1].Health = &compose.Healthcheck{}
	want := []string{"10 db-1 listening", "50 db-1 ready", "50 db-1 is ready after 50ms", "90 db-1 listening", "95 db-1 ready"}
	if diff := cmp.Diff(want, play(NewTracker(p, true), script(t, events))); diff != "" {
		t.Errorf("of the file (-want +got):\n%s", diff)
	}
	ofImage := NewTracker(plan(), true)
	ofImage.HasCheck("db-1")
	if diff := cmp.Diff(want, play(ofImage, script(t, events))); diff != "" {
		t.Errorf("of the image (-want +got):\n%s", diff)
	}
	p.Services[1].Settings.Ready = compose.ReadyListen
	want = []string{"10 db-1 listening", "20 db-1 ready", "20 db-1 is ready after 20ms"}
	if diff := cmp.Diff(want, play(NewTracker(p, true), script(t, events))); diff != "" {
		t.Errorf("x-upall.ready: listen (-want +got):\n%s", diff)
	}
}

// Without interception nobody knows who listens.
func TestNotIntercepted(t *testing.T) {
	t.Parallel()
	got := play(NewTracker(plan(), false), script(t, "0 db-1 starting\n0 db-1 starts\n1000"))
	if diff := cmp.Diff([]string{"1000 db-1 ready", "1000 db-1 is ready after 1s"}, got); diff != "" {
		t.Errorf("events that follow (-want +got):\n%s", diff)
	}
}

func TestView(t *testing.T) {
	t.Parallel()
	tr := NewTracker(plan(), true)
	play(tr, script(t, `
		0 api-1 starting
		0 api-1 starts
		0 db-1 starting
		0 db-1 starts
		0 job-1 starting
		1 job-1 exited 3
		5 host waits db 5432
		10 api-1 waits db 5432
		20 api-1 waits db 5432
		21 api-1 connects cache 6379
		30 db-1 listens 8008`))
	tr.Probed("db-1", Probe{Code: 1})
	v := tr.View()
	want := []Status{
		{
			Service: "api", Instance: "api-1", Runtime: compose.Process, State: event.StateWaiting, Since: after(10 * time.Millisecond), Started: start,
			Missing: "waits for db:5432", HealthDecides: true, WaitingOn: []Wait{{Target: "db", Port: 5432, Since: after(10 * time.Millisecond), Count: 2}}, PID: 77,
		},
		{
			Service: "db", Instance: "db-1", Runtime: compose.Engine, State: event.StateListening, Since: after(30 * time.Millisecond), Started: start,
			Missing: "does not listen on port 5432 yet", HealthDecides: true, HealthLog: []Probe{{Code: 1}},
			Declared: []uint16{5432, 8008}, Ports: []uint16{8008}, HeldFor: 3, PID: 77,
		},
		{
			Service: "job", Instance: "job-1", Runtime: compose.Process, State: event.Exited, Since: after(time.Millisecond), Code: 3,
			HealthDecides: true, ExitedAt: after(time.Millisecond),
		},
	}
	if diff := cmp.Diff(want, v.Instances); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	at := func(ms int) time.Time { return after(time.Duration(ms) * time.Millisecond) }
	edges := []Edge{
		{Client: "api", Target: "cache", Port: 6379, Protocol: "tcp", Observed: true, First: at(21), Last: at(21)},
		{Client: "api", Target: "db", Port: 5432, Protocol: "tcp", Declared: true, Observed: true, First: at(10), Last: at(20)},
		{Client: "api", Target: "job", Declared: true},
		{Client: "host", FromHost: true, Target: "db", Port: 5432, Protocol: "tcp", Observed: true, First: at(5), Last: at(5)},
	}
	if diff := cmp.Diff(edges, v.Edges); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	if len(v.Holds) != 3 || v.Holds[0].Instance != "host" {
		t.Errorf("holds: %+v", v.Holds)
	}
}

// At whatever moment a tracker is replaced by one that is restored from its view
// as JSON, the same follows.
func TestRestore(t *testing.T) {
	t.Parallel()
	events := script(t, `
		0 db-1 starting
		0 db-1 starts
		0 job-1 starting
		0 job-1 starts
		5 job-1 waits db 5432
		10 db-1 listens 5432
		15 job-1 connects db 5432
		20 job-1 released 5
		25 db-1 serves
		30 api-1 starting
		1019
		1020
		1030 db-1 stopping
		1040 db-1 exited
		1050 job-1 restarting 2
		1060 job-1 starting
		1070 job-1 starts
		2070`)
	whole := NewTracker(plan(), true)
	want := play(whole, events)
	for n := range events {
		first := NewTracker(plan(), true)
		got := play(first, events[:n])
		text, err := json.Marshal(first.View())
		if err != nil {
			t.Fatal(err)
		}
		var v View
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		second := NewTracker(plan(), true)
		second.Restore(v)
		got = append(got, play(second, events[n:])...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("restored after %d events (-want +got):\n%s", n, diff)
		}
		if diff := cmp.Diff(whole.View(), second.View()); diff != "" {
			t.Errorf("view when restored after %d events (-want +got):\n%s", n, diff)
		}
	}
}

// A second plan keeps what runs.
func TestUpdate(t *testing.T) {
	t.Parallel()
	tr := NewTracker(plan(), true)
	play(tr, script(t, "0 db-1 starting\n0 db-1 starts\n5 db-1 serves\n7 job-1 starting\n7 job-1 starts\n9 job-1 connects db 5432"))
	p := plan()
	p.Services = slices.Delete(p.Services, 2, 3) // the job
	p.Services[0].Gates = nil
	p.Services = append(p.Services, compose.Service{Name: "web", Instances: []compose.Instance{{Name: "web-1"}}})
	tr.Update(p)
	var got []string
	for _, s := range tr.View().Instances {
		got = append(got, fmt.Sprintf("%s %s", s.Instance, s.State))
	}
	if diff := cmp.Diff([]string{"api-1 created", "db-1 ready", "web-1 created"}, got); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	if edges := tr.View().Edges; len(edges) != 0 {
		t.Errorf("edges that are left: %+v", edges)
	}
}

// What a View has given is not changed by what comes later.
func TestViewIsACopy(t *testing.T) {
	t.Parallel()
	tr := NewTracker(plan(), true)
	play(tr, script(t, "0 db-1 starting\n0 db-1 starts\n5 db-1 listens 9000"))
	before := tr.View()
	text := fmt.Sprintf("%+v", before)
	for range 7 {
		tr.Probed("db-1", Probe{Code: 1})
	}
	play(tr, script(t, "6 db-1 listens 80\n7 db-1 waits job 1\n9 db-1 listens 5432"))
	if got := fmt.Sprintf("%+v", before); got != text {
		t.Errorf("was\n%s\nis\n%s", text, got)
	}
	if log := tr.View().Instances[1].HealthLog; len(log) != maxProbes {
		t.Errorf("%d runs of the healthcheck are kept", len(log))
	}
}

// A client may have thousands of connects that wait.
func BenchmarkHolds(b *testing.B) {
	tr := NewTracker(plan(), true)
	tr.Add(event.Event{Type: event.StateChanged, Instance: "api-1", State: event.Starting, Time: start})
	tr.Add(event.Event{Type: event.Started, Instance: "api-1", Time: start})
	const open = 10_000
	hold := func(n uint64, kind event.Type) {
		tr.Add(event.Event{Type: kind, Hold: n, Service: "api", Instance: "api-1", Target: "db", Port: 5432, Time: start})
	}
	for n := range uint64(open) {
		hold(n, event.HoldBegan)
	}
	b.Run("begin and end", func(b *testing.B) {
		for n := uint64(open); b.Loop(); n++ {
			hold(n, event.HoldBegan)
			hold(n, event.HoldEnded)
		}
	})
	b.Run("view", func(b *testing.B) {
		for b.Loop() {
			tr.View()
		}
	})
}
