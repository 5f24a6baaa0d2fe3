package supervisor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/status"
)

// What a life has died before telling is told by the next, and nothing else is.
func TestMissed(t *testing.T) {
	t.Parallel()
	const name = "api-1"
	listening := event.Event{Type: event.Listening, Service: "api", Instance: name, Port: 80}
	serving := event.Event{Type: event.Serving, Service: "api", Instance: name}
	became := func(state event.State, code int) event.Event {
		return event.Event{Type: event.StateChanged, Service: "api", Instance: name, State: state, Code: code}
	}
	at := time.Unix(100, 0)
	for _, test := range []struct {
		name    string
		is      life
		was     *status.Status
		present []event.Event
		want    []event.Event
	}{
		{"all was known", life{State: event.Starting}, &status.Status{State: event.StateReady, Ports: []uint16{80}, Serving: true}, []event.Event{listening, serving}, nil},
		{"nothing was known", life{State: event.Starting}, nil, []event.Event{listening, serving}, []event.Event{became(event.Starting, 0), listening, serving}},
		{"it has listened since", life{State: event.Starting}, &status.Status{State: event.StateWaiting}, []event.Event{listening}, []event.Event{listening}},
		{"it serves since", life{State: event.Starting}, &status.Status{State: event.StateListening, Ports: []uint16{80}}, []event.Event{listening, serving}, []event.Event{serving}},
		{"it is healthy since", life{State: event.Starting, Health: event.Healthy}, &status.Status{State: event.StateListening}, nil, []event.Event{{Type: event.Healthy, Service: "api", Instance: name}}},
		{"it is healthy still", life{State: event.Starting, Health: event.Healthy}, &status.Status{State: event.StateReady, Health: status.Healthy}, nil, nil},
		{"it runs again since", life{State: event.Starting, Started: at.Add(time.Second)}, &status.Status{State: event.StateReady, Started: at, Ports: []uint16{80}}, []event.Event{listening}, []event.Event{became(event.Created, 0), became(event.Starting, 0), listening}},
		{"it is the same run", life{State: event.Starting, Started: at}, &status.Status{State: event.StateReady, Started: at.Add(time.Second), Ports: []uint16{80}}, []event.Event{listening}, nil},
		{"it stops since", life{State: event.Starting, Stop: stopSent}, &status.Status{State: event.StateReady}, nil, []event.Event{became(event.StateStopping, 0)}},
		{"it has ended since", life{State: event.Exited, Code: 3}, &status.Status{State: event.StateReady, Ports: []uint16{80}}, []event.Event{listening}, []event.Event{became(event.Exited, 3)}},
		{"it waits for its restart since", life{State: event.Restarting, Code: 1, StartAt: at}, &status.Status{State: event.StateReady}, nil, []event.Event{{Type: event.StateChanged, Service: "api", Instance: name, State: event.Restarting, Code: 1, At: at}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			i := &instance{Instance: compose.Instance{Name: name}, service: &compose.Service{Name: "api"}, life: test.is}
			var was []status.Status
			if test.was != nil {
				test.was.Instance = name
				was = append(was, *test.was)
			}
			if diff := cmp.Diff(test.want, missed([]*instance{i}, was, test.present)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}
