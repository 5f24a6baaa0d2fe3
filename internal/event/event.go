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
	// StateChanged: an instance entered State. Valid fields: Service, Instance, State, Code (for exited and
	// restarting), At (for restarting: when it is started again, where that is known), Message.
	StateChanged Type = "state_changed"
	// Started: an instance's program runs. Valid: Service, Instance, PID, ContainerID (where known).
	Started Type = "started"
	// Listening: an instance performed listen(2). Valid: Service, Instance, Port.
	Listening Type = "listening"
	// Serving: an instance serves all its declared ports, or its first listener where none is declared.
	// Valid: Service, Instance, Elapsed (since its start).
	Serving Type = "serving"
	// Ready: an instance is ready, for the first time in this run: it serves and is healthy, or waits for nobody
	// where it never listens. Valid: Service, Instance, Elapsed (since its start).
	Ready Type = "ready"
	// Connected: the first connect of an instance to an endpoint of the project. Valid: Service, Instance, Target, Port,
	// and Count: 0 where it was held, for then the end of the hold counts it.
	Connected Type = "connected"
	// HoldBegan: a connect waits. Valid: Hold, Service, Instance (the client), Target, Port, Way, Cause (what it waits for).
	HoldBegan Type = "hold_began"
	// HoldEnded: the same connect goes on. Valid: as HoldBegan, and End, Elapsed, Cause (why it ended so).
	HoldEnded Type = "hold_ended"
	// CycleFound: services wait for each other. Valid: Members, Message.
	CycleFound Type = "cycle_found"
	// Diagnosed: why a connect is refused, or is held for long, is known. Once for each of a client's targets and Causes
	// in a run. Valid: Service, Instance (the client), Target, Port, Kind, Cause (why), About (the service that it is
	// about), Message (a line that says it all).
	Diagnosed Type = "diagnosed"
	// Healthy and Unhealthy: what the service's healthcheck says now. Valid: Service, Instance, and Code and Message
	// (the check's output) where they are known.
	Healthy   Type = "healthy"
	Unhealthy Type = "unhealthy"
	// Log: one line of a service's output. Valid: Service, Instance, Stream, Message.
	Log Type = "log"
	// Notice: upall says what it does. Valid: Message.
	Notice Type = "notice"
	// Warning: something that a person should know. Valid: Message, and Service where it is about one.
	Warning Type = "warning"
	// ProjectChanged: the project as a whole entered State (Starting, StateUp, StateStopping, StateOver, Failed). Valid: State, Code
	// (for StateOver and Failed), Message.
	ProjectChanged Type = "project_changed"
	// Crashed: the supervisor died and was started again by its keeper. Valid: Elapsed (how long nobody answered), Message.
	Crashed Type = "crashed"
	// Dropped: who reads has fallen behind and has missed Count events. Valid: Count.
	Dropped Type = "dropped"
)

// State is the state of an instance, or of the project.
type State string

// The states of an instance, in the order of a life.
const (
	Created        State = "created"
	Starting       State = "starting"
	StateWaiting   State = "waiting"   // it does not listen yet, and its connects are held
	StateListening State = "listening" // and is not ready yet
	StateReady     State = "ready"
	StateStopping  State = "stopping" // it was asked to end
	Restarting     State = "restarting"
	Exited         State = "exited"
	Failed         State = "failed" // it could not be started
)

// The states of the project that no instance has.
const (
	StateUp   State = "up"   // every instance has been started
	StateOver State = "over" // nothing of it runs any more
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

// Kind is what a diagnosis finds, in a word for programs.
type Kind string

// The kinds: what a person has to mend, and then what may only be late.
const (
	WrongPort    Kind = "wrong_port"    // the target listens on other ports
	NoPort       Kind = "no_port"       // the target listens on none
	LoopbackOnly Kind = "loopback_only" // it listens on its own loopback alone
	OtherAddress Kind = "other_address" // it listens on another of its addresses
	IPv4Only     Kind = "ipv4_only"     // and the connect comes by IPv6
	IPv6Only     Kind = "ipv6_only"     // and the connect comes by IPv4
	UDP          Kind = "udp"           // it has the port for UDP, and the connect is TCP
	HasExited    Kind = "exited"        // for good
	IsUnhealthy  Kind = "unhealthy"     // its healthcheck has given up
	JobFailed    Kind = "job_failed"    // a job of the client's depends_on
	InCycle      Kind = "cycle"         // client and target wait for each other
	Localhost    Kind = "localhost"     // the client connects to itself where another service listens
	Gone         Kind = "gone"          // nobody is at the address any more

	NotStarted   Kind = "not_started"
	IsRestarting Kind = "restarting"
	IsStarting   Kind = "starting"    // it does not listen, or does not serve yet
	NotHealthy   Kind = "not_healthy" // yet
	JobRuns      Kind = "job"         // of the client's depends_on
	Busy         Kind = "busy"        // it accepts more slowly than others connect
)

// MayPass tells whether nothing is wrong that a person has to mend: time may.
func (k Kind) MayPass() bool {
	switch k {
	case NotStarted, IsRestarting, IsStarting, NotHealthy, JobRuns, Busy:
		return true
	}
	return false
}

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
	Kind     Kind          `json:"kind,omitempty"`
	About    string        `json:"about,omitempty"` // the service that Cause is about
	Elapsed  time.Duration `json:"elapsed_ns,omitempty"`
	Members  []string      `json:"members,omitempty"`
	Stream   string        `json:"stream,omitempty"` // "stdout" or "stderr"
	Message  string        `json:"message,omitempty"`
	// Count is how many facts the event stands for.
	Count int `json:"count,omitempty"`
	// PID is that of the instance's program on this host.
	PID         int    `json:"pid,omitempty"`
	ContainerID string `json:"container_id,omitempty"`
	// At is when something is going to happen.
	At time.Time `json:"at,omitzero"`
}
