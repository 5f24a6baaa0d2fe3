// Package event holds the plain records that every part of upall reports with.
//
// Use: a producer fills an Event and hands it to the func(Event) it was given;
// the command line, the dashboard and the tests all read the same records.
// Ownership: an Event is a value; whoever receives it may keep it.
// Order: events of one project are emitted by one goroutine, in the order in
// which the facts became known. Time is the moment of the fact.
// Tests: collect events in a slice and compare the fields that matter.
package event

import "time"

// Type names what happened. The values are stable: they appear in JSON.
type Type string

// The types of events.
const (
	// StateChanged: an instance entered State. Valid fields: Service, Instance, State, Code (for exited), Message.
	StateChanged Type = "state_changed"
	// Started: an instance's program runs. Valid: Service, Instance.
	Started Type = "started"
	// Listening: an instance performed listen(2). Valid: Service, Instance, Port.
	Listening Type = "listening"
	// Ready: an instance serves all its declared ports. Valid: Service, Instance, Elapsed (since its start).
	Ready Type = "ready"
	// HoldBegan: a connect waits. Valid: Hold, Service, Instance (the client), Target, Port, Way, Cause (what it waits for).
	HoldBegan Type = "hold_began"
	// HoldEnded: the same connect goes on. Valid: as HoldBegan, and End, Elapsed, Cause (why it ended so).
	HoldEnded Type = "hold_ended"
	// CycleFound: services wait for each other. Valid: Members, Message.
	CycleFound Type = "cycle_found"
	// Healthy and Unhealthy: what the service's healthcheck says now. Valid: Service, Instance.
	Healthy   Type = "healthy"
	Unhealthy Type = "unhealthy"
	// Log: one line of a service's output. Valid: Service, Instance, Stream, Message.
	Log Type = "log"
	// Notice: upall says what it does. Valid: Message.
	Notice Type = "notice"
	// Warning: something that a person should know. Valid: Message, and Service where it is about one.
	Warning Type = "warning"
)

// State is the state of an instance.
type State string

// The states of an instance, in the order of a life.
const (
	Created    State = "created"
	Starting   State = "starting"
	Restarting State = "restarting"
	Exited     State = "exited"
	Failed     State = "failed"
)

// Way is how a hold is kept.
type Way string

// The ways of holding, best first.
const (
	Parked Way = "parked"         // the SYN waits in a netfilter queue
	Early  Way = "early listener" // the connection waits in the backlog of a listener that upall opened
	Kept   Way = "kept"           // the system call waits in its notification
)

// End is how a hold ends.
type End string

// The ends of a hold.
const (
	Released End = "released"  // the target serves
	Refused  End = "refused"   // the target is known not to come
	Expired  End = "expired"   // the hold timeout
	Canceled End = "cancelled" // the client went away
)

// Event is one fact. Which fields are valid is said at each Type.
type Event struct {
	Time     time.Time     `json:"time"`
	Type     Type          `json:"type"`
	Service  string        `json:"service,omitempty"`
	Instance string        `json:"instance,omitempty"`
	State    State         `json:"state,omitempty"`
	Code     int           `json:"code,omitempty"`
	Hold     uint64        `json:"hold,omitempty"`
	Target   string        `json:"target,omitempty"` // the service that is connected to
	Port     uint16        `json:"port,omitempty"`
	Way      Way           `json:"way,omitempty"`
	End      End           `json:"end,omitempty"`
	Cause    string        `json:"cause,omitempty"`
	Elapsed  time.Duration `json:"elapsed_ns,omitempty"`
	Members  []string      `json:"members,omitempty"`
	Stream   string        `json:"stream,omitempty"` // "stdout" or "stderr"
	Message  string        `json:"message,omitempty"`
}
