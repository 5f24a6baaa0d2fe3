package timeline

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/internal/event"
	"upall/internal/words"
	"upall/supervisor/record"
)

// rows are the instances of a timeline as text.
func rows(t *Timeline) (lines []string) {
	for _, i := range t.Instances {
		var line strings.Builder
		line.WriteString(i.Name)
		for _, r := range i.Runs {
			line.WriteString(":")
			for _, p := range r.Phases {
				fmt.Fprintf(&line, " %s %d-%d", p.Doing, p.From.Milliseconds(), p.To.Milliseconds())
			}
			if r.Ended != nil {
				fmt.Fprintf(&line, " %s(%d)", r.State, r.Code)
			}
		}
		lines = append(lines, line.String())
	}
	return lines
}

func TestRows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, script string
		want         []string
	}{
		{"chain", chainScript, []string{
			"api-1: created 10-110 starting 110-900 held 900-6101 starting 6101-6800 ready 6800-7000",
			"db-1: created 10-100 starting 100-5900 listening 5900-6100 ready 6100-7000",
			"web-1: created 10-120 starting 120-600 held 600-6802 starting 6802-7000",
		}},
		{"a restart that is told late", `
			0 db-1 starting
			10 db-1 starts
			20 db-1 listens 1
			20 db-1 ready
			50 db-1 restarting 3
			60 db-1 listens 1
			70 db-1 starting
			80 db-1 starts
			90 db-1 ready
			95 db-1 stopping
			99 db-1 exited 143`, []string{
			"db-1: created 0-10 starting 10-20 ready 20-50 restarting(3): listening 60-90 ready 90-95 stopping 95-99 exited(143)",
		}},
		{"holds at the same time", `
			0 api-1 starting
			0 api-1 starts
			10 api-1 waits 1 db 1
			20 api-1 waits 2 db 1
			30 api-1 released 1
			40 api-1 starting
			50 api-1 cancelled 2
			60 api-1 waits 3 db 1
			90 api-1 waits 4 db 1`, []string{"api-1: starting 0-10 held 10-50 starting 50-60 held 60-90"}},
		{"could not be started", "0 api-1 created\n10 api-1 failed 127", []string{"api-1: created 0-10 failed(127)"}},
		{"a program of the host", "0 api-1 starting\n5 api-1 starts\n10 api-1 ready\n10 host waits 1 api 1", []string{"api-1: created 0-5 starting 5-10"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, rows(New(play(t, test.script)))); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// A server has whom it held, and a hold has what released it.
func TestHeld(t *testing.T) {
	t.Parallel()
	tl := New(play(t, chainScript))
	db := tl.Instances[1].Runs[0]
	want := []Held{{"api-1", 5432, 900 * time.Millisecond, new(6101 * time.Millisecond), event.Released}}
	if diff := cmp.Diff(want, db.Held); diff != "" {
		t.Errorf("held by db (-want +got):\n%s", diff)
	}
	h := tl.Instances[0].Runs[0].Holds[0]
	if h.By == nil || h.By.Instance != "db-1" || h.By.Moment != Serve || h.Server != "db-1" {
		t.Errorf("hold of api: %+v, released by %+v", h, h.By)
	}
}

// Of several instances, the one that has just begun to serve has released a hold.
func TestHeldByReplica(t *testing.T) {
	t.Parallel()
	tl := New(play(t, `
		0 db-1 starting
		0 db-2 starting
		0 api-1 starting
		1 db-1 starts
		1 db-2 starts
		1 api-1 starts
		2 api-1 waits 1 db 1
		10 db-1 listens 1
		20 db-2 listens 1
		21 api-1 released 1
		30 api-1 ready`))
	if h := tl.Instances[2].Runs[0].Holds[0]; h.Server != "db-2" {
		t.Errorf("held by %q", h.Server)
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	job := `
		0 api-1 starting
		0 db-1 starting
		0 job-1 starting
		0 api-1 starts
		0 db-1 starts
		0 job-1 starts
		100 api-1 connects db 1
		1000 db-1 ready
		3000 api-1 ready
		500 job-1 exited 0`
	for _, test := range []struct {
		name, script string
		declares     []func(*record.Plan)
		want         []string
	}{
		{"the connects", chainScript, nil, []string{
			"observed 8.26 s", "api after [db] 6100-7589", "db after [] 100-6100", "web after [api] 7589-8267",
		}},
		{"service_started is no order", chainScript, []func(*record.Plan){dependsOn("web", "db", compose.Started)}, []string{
			"observed 8.26 s", "api after [db] 6100-7589", "db after [] 100-6100", "web after [api] 7589-8267",
		}},
		{
			"conditions", job,
			[]func(*record.Plan){dependsOn("api", "job", compose.Completed), dependsOn("db", "job", compose.Healthy), dependsOn("job", "api", compose.Started)},
			[]string{"declared 3.50 s", "api after [job] 500-3500", "db after [job] 500-1500", "job after [] 0-500"},
		},
		{
			"started with its target", job,
			[]func(*record.Plan){dependsOn("api", "db", compose.Started), dependsOn("db", "job", compose.Completed)},
			[]string{"declared 3.50 s", "api after [db] 500-3500", "db after [job] 500-1500", "job after [] 0-500"},
		},
		{"who failed is missing", "0 a-1 starting\n0 b-1 starting\n0 a-1 starts\n0 b-1 starts\n10 a-1 exited 1\n20 b-1 ready", nil, []string{
			"observed 20 ms", "b after [] 0-20", "without a",
		}},
		{"nothing", "", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, estimated(New(play(t, test.script, test.declares...)).Estimate)); diff != "" {
				t.Errorf("estimate (-want +got):\n%s", diff)
			}
		})
	}
}

func estimated(e *Estimate) (lines []string) {
	if e == nil {
		return nil
	}
	lines = append(lines, fmt.Sprintf("%s %s", e.Basis, words.Seconds(e.Total)))
	for _, s := range e.Services {
		lines = append(lines, fmt.Sprintf("%s after %v %d-%d", s.Service, s.After, s.From.Milliseconds(), s.To.Milliseconds()))
	}
	for _, name := range e.Missing {
		lines = append(lines, "without "+name)
	}
	return lines
}

// FuzzTimeline holds that whatever is on record makes a timeline: its path has no
// gaps, and its phases follow each other.
func FuzzTimeline(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 1, 1, 0, 2, 7, 0, 2}, true)
	f.Add([]byte{9, 0, 0, 3, 9, 1, 0, 3, 9, 0, 6, 1, 9, 1, 6, 0, 9, 0, 2, 0, 9, 1, 2, 0, 9, 0, 7, 0, 9, 1, 7, 1, 9, 0, 5, 0}, false)
	f.Fuzz(func(t *testing.T, data []byte, gated bool) {
		run := &record.Run{Header: record.Header{Project: "p", Started: begun}}
		for _, s := range services {
			plan(&run.Plan, s, s+"-1")
			if gated {
				gate(s, services[1], compose.GateStart, compose.Completed)(&run.Plan)
				gate(s, services[0], compose.GateConnect, compose.Completed)(&run.Plan)
			}
		}
		at := begun
		for ; len(data) >= 4; data = data[4:] {
			at = at.Add(time.Duration(int8(data[0])) * time.Millisecond)
			run.Events = append(run.Events, anEvent(at, data[1], data[2], data[3]))
		}
		tl := New(run)
		checkPath(t, tl.Path)
		checkPhases(t, tl)
		checkTrace(t, tl)
		checkSVG(t, tl)
		tl.Text(TextOptions{Width: 40})
	})
}

var services = []string{"a", "b", "c"}

// anEvent is one of those that a record may have.
func anEvent(at time.Time, who, what, more byte) event.Event {
	service := services[int(who)%len(services)]
	types := []event.Type{
		event.StateChanged, event.Started, event.Listening, event.Serving, event.Healthy, event.Ready,
		event.HoldBegan, event.HoldEnded, event.Connected, event.ProjectChanged,
	}
	states := []event.State{event.Starting, event.Exited, event.Restarting, event.StateStopping, event.Created, event.Failed, event.StateUp, event.StateOver}
	ends := []event.End{event.Released, event.Refused, event.Canceled}
	return event.Event{
		Time: at, Type: types[int(what)%len(types)], Service: service, Instance: fmt.Sprintf("%s-%d", service, 1+who/128),
		State: states[int(more)%len(states)], Code: int(more / 128), Target: services[int(more)%len(services)],
		Port: uint16(more % 2), Hold: uint64(binary.BigEndian.Uint16([]byte{0, more % 16})), End: ends[int(who)%len(ends)],
	}
}

func checkPath(t *testing.T, p *Path) {
	t.Helper()
	if p == nil {
		return
	}
	at := time.Duration(0)
	for _, s := range p.Segments {
		if s.From != at || s.To <= s.From {
			t.Errorf("a segment from %v to %v after %v", s.From, s.To, at)
		}
		at = s.To
	}
	if at != p.Total {
		t.Errorf("the segments end at %v, not at %v", at, p.Total)
	}
}

func checkPhases(t *testing.T, tl *Timeline) {
	t.Helper()
	for _, i := range tl.Instances {
		for _, r := range i.Runs {
			for n, p := range r.Phases {
				if p.To <= p.From || n > 0 && p.From != r.Phases[n-1].To {
					t.Errorf("%s: phases %v", i.Name, r.Phases)
				}
			}
		}
	}
}
