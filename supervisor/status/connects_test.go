package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/internal/event"
)

// TestCounts: each connect counts once, by an event or by Count.
func TestCounts(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return after(time.Duration(ms) * time.Millisecond) }
	tr := NewTracker(plan(), true)
	hold := event.Event{Service: "api", Instance: "api-1", Target: "db", Port: 5432, Hold: 1}
	began, ended, refused := hold, hold, hold
	began.Type, began.Time = event.HoldBegan, at(10)
	ended.Type, ended.Time, ended.End, ended.Elapsed = event.HoldEnded, at(40), event.Released, 30*time.Millisecond
	refused.Type, refused.Time, refused.End, refused.Hold = event.HoldEnded, at(50), event.Refused, 2 // at once
	for _, e := range []event.Event{began, ended, refused} {
		tr.Add(e)
	}
	changed := tr.Count([]Connects{
		{Client: "api-1", Service: "api", Target: "db", Port: 5432, Count: 5, First: at(60), Last: at(70)},
		{Client: "api-1", Service: "api", Address: "192.0.2.1", Port: 443, Count: 2, First: at(61), Last: at(62)},
		{Client: "host", Service: "host", Target: "api", Port: 8080, Count: 1, First: at(63), Last: at(63)},
		{Client: "gone-1", Service: "gone", Target: "db", Port: 5432, Count: 1},
	})
	db := Edge{
		Client: "api", Target: "db", Port: 5432, Protocol: "tcp", Declared: true, Observed: true, Count: 7, First: at(10), Last: at(70),
		Held: 1, HeldFor: 30 * time.Millisecond, Longest: 30 * time.Millisecond, Refused: 1,
	}
	outside := Edge{Client: "api", Address: "192.0.2.1", Port: 443, Protocol: "tcp", Observed: true, Count: 2, First: at(61), Last: at(62)}
	host := Edge{Client: "host", FromHost: true, Target: "api", Port: 8080, Protocol: "tcp", Observed: true, Count: 1, First: at(63), Last: at(63)}
	if diff := cmp.Diff([]Edge{db, outside, host}, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Edge{db, {Client: "api", Target: "job", Declared: true}, outside, host}, tr.View().Edges); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Edge{db}, tr.Changed(ended)); diff != "" {
		t.Errorf("changed by an event (-want +got):\n%s", diff)
	}
	// A later life goes on counting.
	next := NewTracker(plan(), true)
	next.Restore(tr.View())
	next.Count([]Connects{{Client: "api-1", Service: "api", Target: "db", Port: 5432, Count: 1, First: at(80), Last: at(80)}})
	db.Count, db.Last = 8, at(80)
	if diff := cmp.Diff(db, next.View().Edges[0]); diff != "" {
		t.Errorf("after a crash (-want +got):\n%s", diff)
	}
}
