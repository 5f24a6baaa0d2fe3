package status

import (
	"time"

	"upall/compose"
	"upall/internal/event"
)

// Health is what the healthcheck of an instance says.
type Health string

// The values of Health.
const (
	NoCheck   Health = ""         // there is no healthcheck
	Checking  Health = "starting" // it has not decided yet
	Healthy   Health = "healthy"
	Unhealthy Health = "unhealthy"
)

// Status is how an instance fares.
type Status struct {
	Service  string          `json:"service"`
	Instance string          `json:"instance"`
	Runtime  compose.Runtime `json:"runtime"`
	State    event.State     `json:"state"`
	Since    time.Time       `json:"since,omitzero"` // of State
	Code     int             `json:"code"`           // of the last exit; while it runs 0
	Message  string          `json:"message,omitempty"`
	// Job says that others wait for its end with 0: it is not ready before.
	Job     bool `json:"job,omitempty"`
	Stopped bool `json:"stopped,omitempty"` // exited, because it was asked to

	// Started is when its program began to run; zero while none does.
	Started    time.Time     `json:"started,omitzero"`
	Ready      bool          `json:"ready"`
	ReadyAfter time.Duration `json:"ready_after_ns,omitempty"` // of this run; 0 = it was not ready yet
	// Missing says what it lacks to be ready: "waits for db:5432". Empty when it is
	// ready, and when it has ended for good.
	Missing string `json:"missing,omitempty"`

	Health Health `json:"health,omitempty"`
	// HealthDecides says that it is not ready before it is healthy.
	HealthDecides bool    `json:"health_decides,omitempty"`
	HealthLog     []Probe `json:"health_log,omitempty"` // oldest first

	Declared  []uint16 `json:"declared,omitempty"` // TCP ports, sorted
	Exposes   bool     `json:"exposes,omitempty"`  // its image names a TCP port that it listens on
	Ports     []uint16 `json:"ports,omitempty"`    // where it listens, sorted
	Serving   bool     `json:"serving,omitempty"`  // all declared ports, or the first where none is declared
	WaitingOn []Wait   `json:"waiting_on,omitempty"`
	HeldFor   int      `json:"held_for,omitempty"` // open holds whose target is its service

	Restarts    int       `json:"restarts"`
	RestartAt   time.Time `json:"restart_at,omitzero"` // restarting: when, where that is known
	ExitedAt    time.Time `json:"exited_at,omitzero"`  // the last time
	PID         int       `json:"pid,omitempty"`
	ContainerID string    `json:"container_id,omitempty"`
}

// Wait is what some open holds of an instance wait for.
type Wait struct {
	Target string    `json:"target"` // service
	Port   uint16    `json:"port"`
	Since  time.Time `json:"since"` // of the oldest
	Cause  string    `json:"cause,omitempty"`
	Way    event.Way `json:"way,omitempty"`
	Count  int       `json:"count"`
}

// Probe is one run of a healthcheck.
type Probe struct {
	At      time.Time     `json:"at"` // of its end
	Code    int           `json:"code"`
	Output  string        `json:"output,omitempty"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Hold is a connect that waits.
type Hold struct {
	ID       uint64    `json:"id"`
	Service  string    `json:"service"` // the client's
	Instance string    `json:"instance"`
	Target   string    `json:"target"` // service
	Port     uint16    `json:"port"`
	Since    time.Time `json:"since"`
	Cause    string    `json:"cause,omitempty"`
	Way      event.Way `json:"way,omitempty"`
}

// Host is the client of an edge from this host to a published port. No service may
// have this name in an edge of its own kind: see Edge.FromHost.
const Host = "host"

// Edge says that a service is a client of another, or of something outside of the
// project.
type Edge struct {
	Client string `json:"client"` // service; Host where FromHost is set
	// FromHost: the client is a program of this host, and the port is published.
	FromHost bool   `json:"from_host,omitempty"`
	Target   string `json:"target,omitempty"`  // service; "" = outside of the project
	Address  string `json:"address,omitempty"` // of what is outside: an IP address; "" with Target "": several
	Port     uint16 `json:"port,omitempty"`    // 0: declared, and no connect was seen
	Protocol string `json:"protocol,omitempty"`
	Declared bool   `json:"declared"` // by depends_on
	Observed bool   `json:"observed"` // by a connect

	// Of what was observed, since the project came up.
	Count uint64    `json:"count,omitempty"` // connects
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Held is how many of the connects were held, HeldFor how long all together, and
	// Longest the longest of them.
	Held    uint64        `json:"held,omitempty"`
	HeldFor time.Duration `json:"held_for_ns,omitempty"`
	Longest time.Duration `json:"longest_ns,omitempty"`
	Refused uint64        `json:"refused,omitempty"` // refused or expired
}
