package status

import (
	"testing"
	"time"

	"upall/internal/event"
)

// A diagnosis is there until its connect goes on, or its instance begins anew.
func TestDiagnoses(t *testing.T) {
	t.Parallel()
	wrong := event.Event{Type: event.Diagnosed, Service: "api", Instance: "api-1", Target: "db", Port: 5433, Kind: event.WrongPort, Cause: "db listens on 5432 only"}
	slow, local, other := wrong, wrong, wrong
	slow.Kind, slow.Cause = event.IsStarting, "db:5433 does not listen yet"
	local.Kind, local.Cause = event.Localhost, "nobody listens there"
	other.Port = 8008
	like := func(e event.Event, of event.Type) event.Event {
		e.Type, e.Kind, e.Cause = of, "", ""
		return e
	}
	released, refused := like(wrong, event.HoldEnded), like(wrong, event.HoldEnded)
	released.End, refused.End = event.Released, event.Refused
	begins := event.Event{Type: event.StateChanged, Service: "api", Instance: "api-1", State: event.Starting}
	for name, test := range map[string]struct {
		give []event.Event
		want []event.Kind
	}{
		"the newest":                  {[]event.Event{slow, wrong}, []event.Kind{event.WrongPort}},
		"of two ports":                {[]event.Event{wrong, other}, []event.Kind{event.WrongPort, event.WrongPort}},
		"localhost is apart":          {[]event.Event{local, wrong}, []event.Kind{event.Localhost, event.WrongPort}},
		"refused":                     {[]event.Event{wrong, refused}, []event.Kind{event.WrongPort}},
		"released":                    {[]event.Event{wrong, other, released}, []event.Kind{event.WrongPort}},
		"connected":                   {[]event.Event{wrong, like(wrong, event.Connected)}, nil},
		"begins anew":                 {[]event.Event{wrong, other, begins}, nil},
		"of another instance's start": {[]event.Event{wrong, {Type: event.StateChanged, Instance: "db-1", State: event.Starting}}, []event.Kind{event.WrongPort}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := NewTracker(plan(), true)
			for _, e := range test.give {
				e.Time = start
				tr.Add(e)
			}
			var got []event.Kind
			for _, d := range tr.View().Diagnoses {
				got = append(got, d.Kind)
			}
			if len(got) != len(test.want) || len(got) > 0 && got[0] != test.want[0] {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Connects that nobody tells of clear a diagnosis too, and there is a bound.
func TestDiagnosesCountedAndBounded(t *testing.T) {
	t.Parallel()
	tr := NewTracker(plan(), true)
	for port := range uint16(maxDiagnoses + 2) {
		tr.Add(event.Event{Type: event.Diagnosed, Service: "api", Instance: "api-1", Target: "db", Port: port, Kind: event.WrongPort})
	}
	all := tr.View().Diagnoses
	if len(all) != maxDiagnoses || all[0].Port != 2 {
		t.Errorf("%d are kept from port %d on, want %d from 2 on", len(all), all[0].Port, maxDiagnoses)
	}
	tr.Count([]Connects{{Client: "api-1", Service: "api", Target: "db", Port: 2, Count: 1, First: start, Last: start}})
	if first := tr.View().Diagnoses[0]; first.Port != 3 {
		t.Errorf("the first is of port %d after a connect to port 2", first.Port)
	}
}

// What an instance waits for is said with the newest that is known of it.
func TestDiagnosisOfWait(t *testing.T) {
	t.Parallel()
	tr := NewTracker(plan(), true)
	hold := event.Event{Type: event.HoldBegan, Time: start, Hold: 1, Service: "api", Instance: "api-1", Target: "db", Port: 5433, Cause: "db:5433 does not listen yet"}
	tr.Add(hold)
	hold.Type, hold.Time, hold.Kind, hold.Cause = event.Diagnosed, after(2*time.Second), event.WrongPort, "db listens on 5432 only"
	tr.Add(hold)
	if waits := tr.View().Instances[0].WaitingOn; len(waits) != 1 || waits[0].Cause != "db listens on 5432 only" {
		t.Errorf("it waits for %+v", waits)
	}
}
