package timeline

import (
	"fmt"
	"slices"
	"time"

	"upall/compose"
)

// Kind says what a Segment is made of.
type Kind string

// The kinds of segments.
const (
	Before  Kind = "before_start" // upall, the engine or the kernel start it
	Gate    Kind = "start_gate"   // it could start at last
	Own     Kind = "own"          // the instance's own work
	Waits   Kind = "held"         // a connect waits
	Restart Kind = "restart"      // from an exit to the next start
)

// Path is the critical path of a start: what it would have been shorter without.
type Path struct {
	Total    time.Duration `json:"total_ns"`
	Segments []Segment     `json:"segments"` // from 0 to Total, without gaps
}

// Segment is a part of a Path.
type Segment struct {
	Instance string        `json:"instance"`
	Kind     Kind          `json:"kind"`
	What     string        `json:"what"` // in words
	Target   string        `json:"target,omitempty"`
	Port     uint16        `json:"port,omitempty"`
	From     time.Duration `json:"from_ns"`
	To       time.Duration `json:"to_ns"`

	title string
}

// brief is how close to each other two moments are one to a person.
const brief = 10 * time.Millisecond

// walker goes back in time.
type walker struct {
	t      *Timeline
	at     time.Duration // it has come to here
	path   []Segment     // the newest first
	holds  map[*Hold]bool
	starts map[*Run]bool
}

// place is where a walker is: at a moment of a run.
type place struct {
	of     *Instance
	run    int
	moment string
}

// criticalPath walks back from the last instance that came to where the start was to
// bring it. Each hold and each start is passed once, so it ends.
func (t *Timeline) criticalPath() *Path {
	var last *Instance
	var end arrival
	for _, i := range t.Instances {
		if a, ok := i.arrival(); ok && i.InStart && (last == nil || a.at > end.at) {
			last, end = i, a
		}
	}
	if last == nil {
		return nil
	}
	w := &walker{t: t, at: end.at, path: []Segment{}, holds: map[*Hold]bool{}, starts: map[*Run]bool{}}
	for p := (&place{last, end.run, string(end.moment)}); p != nil; {
		p = w.back(*p)
	}
	slices.Reverse(w.path)
	return &Path{Total: end.at, Segments: w.path}
}

// push notes what was done from a moment until where the walker is.
func (w *walker) push(p place, kind Kind, what string, from time.Duration) {
	if from >= w.at {
		return
	}
	w.path = append(w.path, Segment{Instance: p.of.Name, Kind: kind, What: what, From: from, To: w.at, title: p.of.title})
	w.at = from
}

// back goes from a moment of a run to what it was waited for.
func (w *walker) back(p place) *place {
	run := p.of.Runs[p.run]
	if h := w.lastHold(run); h != nil {
		return w.throughHold(p, h)
	}
	return w.throughStart(p, run)
}

// lastHold returns the hold of a run that ended last until now.
func (w *walker) lastHold(run *Run) (last *Hold) {
	for _, h := range run.Holds {
		if h.To == nil || *h.To > w.at || *h.To <= h.From || w.holds[h] {
			continue
		}
		if last == nil || *h.To > *last.To {
			last = h
		}
	}
	return last
}

func (w *walker) throughHold(p place, h *Hold) *place {
	w.holds[h] = true
	to := fmt.Sprintf("%s:%d", h.Target, h.Port)
	w.work(p, "connect to "+to, *h.To)
	from, next := h.From, place{p.of, p.run, "connect to " + to}
	if h.By != nil {
		from, next = h.By.At, place{h.By.of, slices.Index(h.By.of.Runs, h.By.run), string(h.By.Moment)}
	}
	what := "held on " + to
	if h.End != "" && h.By == nil {
		what += ", " + string(h.End)
	}
	known := len(w.path)
	w.push(p, Waits, what, from)
	if len(w.path) > known {
		w.path[known].Target, w.path[known].Port = h.Target, h.Port
	}
	return &next
}

// work notes what a run did by itself since a moment, in parts where it came to
// something on the way.
func (w *walker) work(p place, since string, from time.Duration) {
	to := p.moment
	on := p.of.Runs[p.run].moments()
	slices.Reverse(on)
	for _, m := range on { // who serves and is ready as soon as it listens has worked to listen
		if isMilestone(m.name) && isMilestone(Moment(p.moment)) && m.at >= w.at-brief && m.at <= w.at {
			to = string(m.name)
		}
	}
	for _, m := range on {
		if isMilestone(m.name) && m.at > from && m.at < w.at-brief {
			w.push(p, Own, fmt.Sprintf("from %s to %s", m.name, to), m.at)
			to = string(m.name)
		}
	}
	w.push(p, Own, fmt.Sprintf("from %s to %s", since, to), from)
}

// isMilestone tells whether a moment is one on the way to ready.
func isMilestone(m Moment) bool { return m == Listen || m == Serve || m == Healthy || m == Ready }

// throughStart goes on with what a run waited for before it started.
func (w *walker) throughStart(p place, run *Run) *place {
	if w.starts[run] {
		w.push(p, Before, "not known", 0)
		return nil
	}
	w.starts[run] = true
	started := run.known
	if run.Started != nil {
		started = *run.Started
	}
	w.work(p, "start", started)
	if at, next := w.t.gate(p.of.Service, run.known, started); next != nil {
		w.push(p, Gate, fmt.Sprintf("starts after %s %s", next.of.title, has(Moment(next.moment))), at)
		return next
	}
	if p.run > 0 {
		before := p.of.Runs[p.run-1]
		w.push(p, Restart, "restarts", *before.Ended)
		return &place{p.of, p.run - 1, fmt.Sprintf("exit with %d", before.Code)}
	}
	w.push(p, Before, "until it runs", 0)
	return nil
}

// has says of somebody that a moment has come.
func has(m Moment) string {
	switch m {
	case Exit:
		return "has exited"
	case Start:
		return "has started"
	}
	return "is " + string(m)
}

// gate finds what let a run start at last, of all that its start was to wait for.
func (t *Timeline) gate(service string, from, to time.Duration) (at time.Duration, last *place) {
	for _, g := range t.gatesOf(service) {
		if g.Kind != compose.GateStart {
			continue
		}
		for _, i := range t.Instances {
			for n, run := range i.Runs {
				for _, m := range run.moments() {
					isIt := i.Service == g.Service && run.opens(g.Condition, m)
					if isIt && m.at > from && m.at <= to && (last == nil || m.at > at) {
						at, last = m.at, &place{i, n, string(m.name)}
					}
				}
			}
		}
	}
	return at, last
}

// opens tells whether a moment of a run opens a start gate.
func (r *Run) opens(c compose.Condition, m moment) bool {
	switch c {
	case compose.Completed:
		return m.name == Exit && r.completed()
	case compose.Healthy:
		return m.name == Healthy || m.name == Ready
	}
	return m.name == Start
}
