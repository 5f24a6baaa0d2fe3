package timeline

import (
	"fmt"
	"time"
)

// traceEvent is one of the Trace Event Format, which Perfetto and Chrome read.
type traceEvent struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"`
	Time     float64        `json:"ts"`            // microseconds
	Duration *float64       `json:"dur,omitempty"` // of X
	Process  int            `json:"pid"`
	Thread   int            `json:"tid"`
	ID       int            `json:"id,omitempty"` // of a flow
	Binds    string         `json:"bp,omitempty"` // of the end of a flow: to the slice around it
	Scope    string         `json:"s,omitempty"`  // of an instant
	Args     map[string]any `json:"args,omitempty"`
}

// tracer writes a trace. The project is its process, and an instance a thread; what
// would overlap there gets threads of its own.
type tracer struct {
	t       *Timeline
	events  []traceEvent
	threads int
	flows   int
	of      map[string]int // the thread of an instance
}

// Trace is the timeline as a trace of Chrome's, also for Perfetto.
func (t *Timeline) Trace() (string, error) {
	tr := &tracer{t: t, of: map[string]int{}}
	tr.add(traceEvent{Name: "process_name", Phase: "M", Args: map[string]any{"name": t.Project}})
	if t.Path != nil {
		thread := tr.thread("critical path")
		for _, s := range t.Path.Segments {
			tr.slice(thread, s.title+": "+s.What, "path", s.From, s.To, nil)
		}
	}
	for _, i := range t.Instances {
		tr.instance(i)
	}
	for _, i := range t.Instances {
		tr.holds(i)
	}
	return encode(map[string]any{"displayTimeUnit": "ms", "traceEvents": tr.events})
}

func (tr *tracer) add(e traceEvent) {
	e.Process = 1
	tr.events = append(tr.events, e)
}

// thread makes a thread, below those before it.
func (tr *tracer) thread(name string) int {
	tr.threads++
	tr.add(traceEvent{Name: "thread_name", Phase: "M", Thread: tr.threads, Args: map[string]any{"name": name}})
	tr.add(traceEvent{Name: "thread_sort_index", Phase: "M", Thread: tr.threads, Args: map[string]any{"sort_index": tr.threads}})
	return tr.threads
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (tr *tracer) slice(thread int, name, category string, from, to time.Duration, args map[string]any) {
	tr.add(traceEvent{Name: name, Category: category, Phase: "X", Time: micros(from), Duration: new(micros(to - from)), Thread: thread, Args: args})
}

// instance writes the phases and moments of an instance.
func (tr *tracer) instance(i *Instance) {
	thread := tr.thread(i.title)
	tr.of[i.Name] = thread
	for _, r := range i.Runs {
		for _, p := range r.Phases {
			tr.slice(thread, string(p.Doing), "phase", p.From, p.To, nil)
		}
		listened := 0
		for _, m := range r.moments() {
			name := string(m.name)
			switch m.name {
			case Listen:
				name = fmt.Sprintf("listen %d", r.Listening[listened].Port)
				listened++
			case Exit:
				name = fmt.Sprintf("%s %d", r.State, r.Code)
			}
			tr.add(traceEvent{Name: name, Category: "moment", Phase: "i", Time: micros(m.at), Thread: thread, Scope: "t"})
		}
	}
}

// holds writes the holds of an instance: those at the same time on different threads.
func (tr *tracer) holds(i *Instance) {
	var threads []int
	var free []time.Duration // until when each of them is taken
	for _, r := range i.Runs {
		for _, h := range r.Holds {
			to := max(h.From, tr.t.Last)
			if h.To != nil {
				to = *h.To
			}
			n := 0
			for n < len(free) && free[n] > h.From {
				n++
			}
			if n == len(free) {
				threads = append(threads, tr.thread(i.title+" holds"))
				free = append(free, 0)
			}
			free[n] = to
			tr.slice(threads[n], fmt.Sprintf("held on %s:%d", h.Target, h.Port), "hold", h.From, to, map[string]any{
				"cause": h.Cause, "way": h.Way, "end": h.End, "end_cause": h.EndsBy,
			})
			if h.By != nil {
				tr.flow(h, threads[n])
			}
		}
	}
}

// flow leads from who released a hold to its end.
func (tr *tracer) flow(h *Hold, thread int) {
	tr.flows++
	tr.add(traceEvent{Name: "release", Category: "release", Phase: "s", ID: tr.flows, Time: micros(h.By.At), Thread: tr.of[h.By.Instance]})
	tr.add(traceEvent{Name: "release", Category: "release", Phase: "f", Binds: "e", ID: tr.flows, Time: micros(*h.To), Thread: thread})
}
