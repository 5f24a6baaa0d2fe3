package timeline

import (
	"maps"
	"slices"
	"strings"
	"time"

	"upall/compose"
)

// Basis says what an Estimate takes for the order of services.
type Basis string

// The values of Basis.
const (
	Declared Basis = "declared" // depends_on, with its conditions
	Observed Basis = "observed" // the connects, as if each target were declared service_healthy
)

// Estimate is what the same services would have cost in dependency order. It is
// computed from what was measured: see docs/timeline.md for what it leaves out.
type Estimate struct {
	Basis    Basis         `json:"basis"`
	Total    time.Duration `json:"total_ns"`
	Services []Estimated   `json:"services"` // those that came to where they were to come, by name
	Missing  []string      `json:"missing"`  // the others
}

// Estimated is a service in dependency order.
type Estimated struct {
	Service string        `json:"service"`
	After   []string      `json:"after"`  // what it is started after, by name
	Own     time.Duration `json:"own_ns"` // from its start to ready, but for its holds
	From    time.Duration `json:"from_ns"`
	To      time.Duration `json:"to_ns"`
}

// estimator lays services out, each after what it depends on.
type estimator struct {
	from   time.Duration // of the first
	own    map[string]time.Duration
	after  map[string]map[string]compose.Condition
	placed map[string]*Estimated
}

// estimate returns nil where there is nothing to lay out.
func (t *Timeline) estimate(uses map[use]time.Duration) *Estimate {
	own, arrived, missing := t.ownTimes()
	if len(own) == 0 {
		return nil
	}
	e := &Estimate{Missing: missing}
	by := estimator{from: t.firstStart(), own: own, placed: map[string]*Estimated{}}
	e.Basis, by.after = t.order(uses, arrived)
	for _, service := range slices.Sorted(maps.Keys(own)) {
		e.Total = max(e.Total, by.place(service).To)
	}
	for _, service := range slices.Sorted(maps.Keys(own)) {
		e.Services = append(e.Services, *by.placed[service])
	}
	return e
}

// firstStart is when the first program of the start ran: what upall did before is
// no service's.
func (t *Timeline) firstStart() time.Duration {
	from := t.End
	for _, i := range t.Instances {
		if i.InStart && len(i.Runs) > 0 && i.Runs[0].Started != nil {
			from = min(from, *i.Runs[0].Started)
		}
	}
	return from
}

// ownTimes are what each service did by itself, and when it had come to where it was
// to come; the slowest of its instances counts.
func (t *Timeline) ownTimes() (own, arrived map[string]time.Duration, missing []string) {
	own, arrived, missing = map[string]time.Duration{}, map[string]time.Duration{}, []string{}
	for _, i := range t.Instances {
		a, ok := i.arrival()
		if !i.InStart || !ok {
			missing = append(missing, i.Service)
			continue
		}
		run := i.Runs[a.run]
		from := run.known
		if run.Started != nil {
			from = *run.Started
		}
		took := max(0, a.at-from)
		for _, s := range run.waits(a.at) {
			took -= max(0, s.to-max(s.from, from))
		}
		own[i.Service] = max(own[i.Service], took)
		arrived[i.Service] = max(arrived[i.Service], a.at)
	}
	slices.Sort(missing)
	missing = slices.DeleteFunc(slices.Compact(missing), func(service string) bool { _, ok := own[service]; return ok })
	return own, arrived, missing
}

// order tells what is started after what. Files that declare no condition but
// service_started leave it to each program to try again, which has no order to
// compare with: then what was seen stands for what should have been declared.
func (t *Timeline) order(uses map[use]time.Duration, arrived map[string]time.Duration) (Basis, map[string]map[string]compose.Condition) {
	after := map[string]map[string]compose.Condition{}
	put := func(client, target string, c compose.Condition) {
		if client == target {
			return
		}
		if after[client] == nil {
			after[client] = map[string]compose.Condition{}
		}
		after[client][target] = c
	}
	basis := Observed
	for _, d := range t.plan.Dependencies {
		if d.Kind == compose.SharedMount {
			continue
		}
		c := d.Condition
		if c == compose.Healthy || c == compose.Completed {
			basis = Declared
		} else if after[d.Client][d.Target] != "" {
			continue
		} else {
			c = compose.Started
		}
		put(d.Client, d.Target, c)
	}
	if basis == Declared {
		return basis, after
	}
	clear(after)
	for u, at := range uses {
		if at <= arrived[u.client] {
			put(u.client, u.target, compose.Healthy)
		}
	}
	return basis, after
}

// open stands for the end of a service that is being laid out.
const open = -1

// place lays a service out. Of a circle, what leads back to its beginning is left out.
func (e *estimator) place(service string) *Estimated {
	if p := e.placed[service]; p != nil {
		return p
	}
	p := &Estimated{Service: service, After: []string{}, Own: e.own[service], From: e.from, To: open}
	e.placed[service] = p
	for _, target := range slices.SortedFunc(maps.Keys(e.after[service]), strings.Compare) {
		if _, known := e.own[target]; !known {
			continue
		}
		before := e.placed[target]
		if before != nil && before.To == open {
			continue
		}
		before = e.place(target)
		p.After = append(p.After, target)
		from := before.To
		if e.after[service][target] == compose.Started {
			from = before.From
		}
		p.From = max(p.From, from)
	}
	p.To = p.From + p.Own
	return p
}
