package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// second is a moment of a test.
func second(n int) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(int64(n), 0)
}

// told is what a history has to tell, as "start 3".
func told(changes ...change) (texts []string) {
	for _, c := range changes {
		text := strings.TrimPrefix(string(c.what), "health_status: ")
		if c.what == events.ActionDie {
			text += fmt.Sprintf("(%d)", c.code)
		}
		texts = append(texts, fmt.Sprintf("%s %d", text, c.at.Unix()))
	}
	return texts
}

// play gives a history events as "start 3", "die 4"; each ends with code 1.
func (h *history) play(script string) (texts []string) {
	for line := range strings.SplitSeq(script, ",") {
		var action string
		var at int
		if _, err := fmt.Sscan(line, &action, &at); err != nil {
			continue
		}
		if strings.HasSuffix(action, "healthy") {
			action = "health_status: " + action
		}
		c, is := h.event(ref{id: "c", instance: "a-1"}, events.Message{
			Action: events.Action(action), TimeNano: second(at).UnixNano(),
			Actor: events.Actor{Attributes: map[string]string{"exitCode": "1"}},
		})
		if is {
			texts = append(texts, told(c)...)
		}
	}
	return texts
}

func TestHistory(t *testing.T) {
	t.Parallel()
	const since, asked = 10, 50
	runs := func(started, finished int) Details {
		return Details{State: string(container.StateRunning), Started: second(started), Finished: second(finished)}
	}
	exited := func(started, finished int) Details {
		return Details{State: string(container.StateExited), Started: second(started), Finished: second(finished), Code: 7}
	}
	healthy := runs(5, 0)
	healthy.Health = string(container.Healthy)
	waits := exited(20, 21)
	waits.State = string(container.StateRestarting)
	for _, test := range []struct {
		name    string
		before  string // events that the engine remembers
		is      Details
		after   string // events that come
		want    []string
		isAsked bool
	}{
		{name: "nothing has happened", before: "start 5", is: runs(4, 0)},
		{name: "nothing is remembered", is: runs(4, 3)},
		{name: "it has never run", is: Details{State: string(container.StateCreated)}, after: "start 60", want: []string{"start 60"}},
		{name: "what was told is not told again", before: "start 5,die 6,start 7", is: runs(7, 6)},
		{name: "what is remembered is told", before: "start 5,die 12,start 13", is: runs(13, 12), want: []string{"die(1) 12", "start 13"}},
		{name: "what has been told and what has not", before: "start 9,die 10,start 11", is: runs(11, 10), want: []string{"start 11"}},
		{name: "a signal before", before: "start 5,kill 9,die 11", is: exited(5, 11), want: []string{"die(1) 11"}, isAsked: true},
		{name: "a signal before the run", before: "kill 9,die 11,start 12", is: runs(12, 11), want: []string{"die(1) 11", "start 12"}},

		{name: "an end is forgotten", is: exited(4, 12), want: []string{"die(7) 12"}},
		{name: "an old end is forgotten", is: exited(4, 9)},
		{name: "a start is forgotten", is: runs(12, 0), want: []string{"start 12"}},
		{name: "a restart is forgotten", is: runs(13, 12), want: []string{"die(0) 12", "start 13"}},
		{name: "a run is forgotten", is: exited(12, 13), want: []string{"start 12", "die(7) 13"}},
		{name: "a run after a known end is forgotten", before: "start 5,die 9", is: exited(12, 13), want: []string{"start 12", "die(7) 13"}},
		{name: "a restart after a known start is forgotten", before: "start 5", is: runs(13, 12), want: []string{"die(0) 12", "start 13"}},
		{name: "it waits for its restart", before: "start 20", is: waits, after: "start 70", want: []string{"start 20", "die(7) 21", "start 70"}},
		{name: "health is forgotten", before: "start 5", is: healthy, want: []string{"healthy 5"}},
		{name: "health was told", before: "start 5,healthy 6", is: healthy},
		{name: "health is new", before: "start 5,healthy 6", is: healthy, after: "unhealthy 60", want: []string{"unhealthy 60"}},

		{name: "an end was asked before it was told", before: "start 5", is: exited(4, 49), after: "die 51,start 52", want: []string{"die(7) 49", "start 52"}},
		{name: "a start was asked before it was told", before: "start 5,die 6", is: runs(49, 6), after: "start 51,die 52", want: []string{"start 49", "die(1) 52"}},
		{name: "it ends after it was asked", before: "start 5", is: runs(4, 0), after: "die 51,start 52", want: []string{"die(1) 51", "start 52"}},
		{name: "an event is newer than what was asked", before: "start 5,die 51", is: runs(4, 0), want: []string{"die(1) 51"}},
		{name: "an event comes twice", before: "start 5,die 45", is: exited(5, 44), after: "die 45,start 46", want: []string{"die(1) 45", "start 46"}},
		{name: "an end without a start", before: "die 12", is: exited(5, 12), after: "die 60", want: []string{"die(1) 12", "die(1) 60"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(second(since))
			got := h.play(test.before)
			got = append(got, told(h.compare(second(asked), map[ref]Details{{id: "c", instance: "a-1"}: test.is})...)...)
			got = append(got, h.play(test.after)...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if f := h.facts["c"]; f != nil && f.isAsked != test.isAsked {
				t.Errorf("asked for its end: %v", f.isAsked)
			}
			again := h.compare(second(asked), map[ref]Details{{id: "c", instance: "a-1"}: test.is})
			if test.after == "" && len(again) > 0 {
				t.Errorf("told again: %q", told(again...))
			}
		})
	}
}
