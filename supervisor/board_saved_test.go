package supervisor

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/intercept/traffic"
	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/status"
)

// boardOf is of a life of the supervisor.
func boardOf(path string) *board {
	return &board{
		log: control.NewLog(), path: path, edges: edges{}, services: map[string]string{},
		ready: func(string) {}, listens: func(string) {}, observed: func(string, string) {},
	}
}

// workers is a plan of a service that never listens.
func workers() *compose.Plan {
	return &compose.Plan{Services: []compose.Service{{
		Name: "worker", Runtime: compose.Process, Instances: []compose.Instance{{Name: "worker-1"}},
	}}}
}

// startOfWorker is told when its program begins.
func startOfWorker(at time.Time) []event.Event {
	return []event.Event{
		{Type: event.StateChanged, Service: "worker", Instance: "worker-1", State: event.Starting, Time: at},
		{Type: event.Started, Service: "worker", Instance: "worker-1", PID: 77, Time: at},
	}
}

// told has a board take events, as the bus does.
func (b *board) told(events ...event.Event) {
	for _, e := range events {
		b.consume(e)
	}
}

// A life knows what the one before has saved, whatever the interceptor tells while it
// goes on with what that has left; and so does the life after it.
func TestBoardResume(t *testing.T) {
	t.Parallel()
	hold := event.Event{Type: event.HoldBegan, Hold: 1, Service: "worker", Instance: "worker-1", Target: "db", Port: 5432}
	end := hold
	end.Type, end.End = event.HoldEnded, event.Released
	for _, test := range []struct {
		name    string
		told    event.Event
		present []event.Event
		ready   time.Duration // after the crash
	}{
		{"a warning", event.Event{Type: event.Warning, Message: "of something"}, nil, 0},
		{"the end of a hold", end, []event.Event{hold}, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "board.json")
			synctest.Test(t, func(t *testing.T) { resumes(t, path, test.told, test.present, test.ready) })
		})
	}
}

func resumes(t *testing.T, path string, told event.Event, present []event.Event, ready time.Duration) {
	t.Helper()
	const quiet = time.Second // after which one that never listens is ready
	started := time.Now()
	first := boardOf(path)
	first.follow(workers(), true)
	first.closed = map[status.EdgeKey]traffic.Counts{{Client: "worker", Target: "db", Port: 5432}: {Sent: 7, Received: 9}}
	first.told(startOfWorker(started)...)
	time.Sleep(quiet)              //nolint:forbidigo // inside a synctest bubble
	first.tick(time.Now().Add(-1)) // too early to be ready
	crashed := time.Now()
	told.Time = crashed

	second := boardOf(path)
	was, _, err := second.resume(workers(), true, func() ([]event.Event, error) {
		go second.told(told)
		synctest.Wait()
		return present, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := was.Instances[0]; !s.Started.Equal(started) {
		t.Errorf("after the crash it is %s since %v, want started at %v", s.State, s.Started, started)
	}
	synctest.Wait()
	third := boardOf(path)
	later, _, err := third.resume(workers(), true, func() ([]event.Event, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(started, later.Instances[0].Started); diff != "" {
		t.Errorf("start, as the life after knows it (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(first.closed, third.before); diff != "" {
		t.Errorf("bytes, as the life after knows them (-want +got):\n%s", diff)
	}
	if ready > 0 {
		if early := second.tick(crashed.Add(ready - 1)); len(early) > 0 {
			t.Errorf("%s is ready too early", early)
		}
	}
	if got := second.tick(crashed.Add(ready)); len(got) != 1 || second.snapshot().Instances[0].State != event.StateReady {
		t.Errorf("ready are %q of %+v, want the worker", got, second.snapshot().Instances)
	}
}
