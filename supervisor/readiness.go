package supervisor

import (
	"fmt"
	"slices"
	"time"

	"upall/compose"
	"upall/internal/event"
)

// quiet is how long an instance without declared ports must have run, without a
// listener and without waiting for anybody, to count as ready.
const quiet = time.Second

// Readiness follows a project's events to tell when all of it is ready. It is
// pure; give it every event in order.
type Readiness struct {
	instances []*progress
}

// progress is how far an instance has come.
type progress struct {
	name        string
	service     string
	hasPorts    bool
	heedsHealth bool // where it has a healthcheck
	hasCheck    bool
	started     time.Time
	ready       bool
	healthy     bool
	holds       map[uint64]string // what its connects wait for
	calm        time.Time         // since when it waits for nobody
	over        bool
	code        int
	why         string
}

// NewReadiness follows the instances of a plan.
func NewReadiness(plan *compose.Plan) *Readiness {
	r := &Readiness{}
	for _, s := range plan.Services {
		hasPorts := slices.ContainsFunc(s.Ports, func(p compose.Port) bool { return p.Protocol == "tcp" })
		for _, i := range s.Instances {
			r.instances = append(r.instances, &progress{
				name: i.Name, service: s.Name, hasPorts: hasPorts,
				heedsHealth: s.Settings.Ready == compose.ReadyHealthy,
				holds:       map[uint64]string{},
			})
		}
	}
	return r
}

// HasCheck says that an instance has a healthcheck, which decides on it.
func (r *Readiness) HasCheck(instance string) {
	for _, p := range r.instances {
		p.hasCheck = p.hasCheck || p.name == instance
	}
}

// Add takes an event.
func (r *Readiness) Add(e event.Event) {
	n := slices.IndexFunc(r.instances, func(p *progress) bool { return p.name == e.Instance })
	if n < 0 {
		return
	}
	p := r.instances[n]
	switch e.Type {
	case event.Started:
		p.started, p.calm, p.over = e.Time, e.Time, false
	case event.StateChanged:
		p.change(e)
	case event.Ready:
		p.ready = true
	case event.Healthy:
		p.healthy = true
	case event.Unhealthy:
		p.healthy, p.why = false, "its healthcheck fails"
	case event.HoldBegan:
		p.holds[e.Hold] = fmt.Sprintf("waits for %s:%d", e.Target, e.Port)
	case event.HoldEnded:
		delete(p.holds, e.Hold)
		p.calm = e.Time
	}
}

func (p *progress) change(e event.Event) {
	p.over = e.State == event.Exited || e.State == event.Failed
	if p.over || e.State == event.Restarting {
		p.started, p.ready, p.healthy, p.code = time.Time{}, false, false, e.Code
		p.why = fmt.Sprintf("exited with code %d", e.Code)
		if e.Message != "" {
			p.why = e.Message
		}
	}
}

// Running tells whether every instance has been started, or will not be.
func (r *Readiness) Running() bool {
	return !slices.ContainsFunc(r.instances, func(p *progress) bool { return p.started.IsZero() && !p.over })
}

// Ready tells whether every instance is ready at now, or has ended with 0. failed
// names one that has ended otherwise; waiting says of each that is not ready why.
func (r *Readiness) Ready(now time.Time) (ready bool, failed string, waiting []string) {
	for _, p := range r.instances {
		switch why := p.missing(now); {
		case p.over && p.code != 0:
			return false, p.name + " " + p.why, nil
		case why != "":
			waiting = append(waiting, p.name+" "+why)
		}
	}
	return len(waiting) == 0, "", waiting
}

// missing says what the instance lacks to be ready.
func (p *progress) missing(now time.Time) string {
	switch {
	case p.over:
		return ""
	case p.started.IsZero() && p.why != "":
		return p.why + " and restarts"
	case p.started.IsZero():
		return "has not started"
	case p.hasCheck && p.heedsHealth:
		if !p.healthy {
			return "is not healthy yet"
		}
		return ""
	case p.ready:
		return ""
	}
	for _, waits := range p.holds {
		return waits
	}
	switch {
	case p.hasPorts:
		return "does not listen on its ports yet"
	case now.Sub(p.calm) < quiet:
		return "has just started"
	}
	return ""
}
