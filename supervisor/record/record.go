// Package record keeps what happened in the runs of a project, for `upall graph` and
// `upall timeline`.
//
// Use: a supervisor opens a Writer and gives it each event, each plan and the edges;
// List and Open read what is kept, also while the run goes on.
// Ownership: a Writer has a goroutine of its own and its file; Close ends both.
// Promises: a Writer never makes its caller wait, and what it cannot write is lost
// and said once. A record is JSON lines, appended; its size and the number of
// records of a project are bounded.
// Tests: what is written is read again; a full and a closed file disturb nobody.
package record

import (
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/status"
)

// Format is the number of the form of records, in their header.
const Format = 1

// Line is a line of a record. One of its fields is set.
type Line struct {
	Header *Header       `json:"run,omitempty"` // the first line
	Plan   *Plan         `json:"plan,omitempty"`
	Edges  []status.Edge `json:"edges,omitempty"` // as they are now, from the beginning of the run; those that have changed
	Event  *event.Event  `json:"event,omitempty"` // but no lines of output
	Lost   int           `json:"lost,omitempty"`  // so many events are not in the record

	// Marks, which are not written.
	written chan struct{} // closed when what came before it is written
	isLast  bool
}

func (l Line) isMark() bool { return l.written != nil || l.isLast }

// Header says what a record is of.
type Header struct {
	Format  int       `json:"format"`
	Project string    `json:"project"`
	Upall   string    `json:"upall"` // its version
	Started time.Time `json:"started"`
}

// Plan is what the project was to be from At on.
type Plan struct {
	At           time.Time            `json:"at"`
	Services     []Service            `json:"services"` // sorted by name
	Dependencies []compose.Dependency `json:"dependencies"`
}

// Service is one of a Plan.
type Service struct {
	Name      string            `json:"name"`
	Runtime   compose.Runtime   `json:"runtime"`
	Instances []string          `json:"instances"` // names, in order
	Ports     []compose.Port    `json:"ports,omitempty"`
	Published []compose.Publish `json:"published,omitempty"`
	Gates     []compose.Gate    `json:"gates,omitempty"`
	HasHealth bool              `json:"has_health,omitempty"` // the file gives it a healthcheck
}

// Run is a run as it is on record: from the first `up` to the end, or to now.
type Run struct {
	Header
	Plan   Plan          // the newest
	Edges  []status.Edge // the newest of each, sorted as in a status.View
	Events []event.Event // in order
	Lost   int           // events that are missing
}

// PlanOf is what a record keeps of a plan.
func PlanOf(p *compose.Plan, at time.Time) Plan {
	plan := Plan{At: at, Services: make([]Service, 0, len(p.Services)), Dependencies: p.Dependencies}
	for _, s := range p.Services {
		r := Service{
			Name: s.Name, Runtime: s.Runtime, Ports: s.Ports, Published: s.Published, Gates: s.Gates,
			HasHealth: s.Health != nil && !s.NoHealth,
		}
		for _, i := range s.Instances {
			r.Instances = append(r.Instances, i.Name)
		}
		plan.Services = append(plan.Services, r)
	}
	return plan
}
