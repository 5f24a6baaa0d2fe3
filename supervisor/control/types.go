package control

import (
	"context"
	"io"
	"net/netip"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/status"
)

// Version of the API: the first part of each path.
const Version = "v1"

// SocketName is the name of the socket, below the private state directory.
const SocketName = "control.sock"

// Phase is how far the project as a whole is.
type Phase string

// The phases.
const (
	Idle     Phase = "idle"     // nothing was applied yet
	Starting Phase = "starting" // not every instance has been started
	Up       Phase = "up"
	Stopping Phase = "stopping"
	Over     Phase = "over" // nothing runs any more, and the supervisor ends
)

// HoldInfo is a connect that waits.
type HoldInfo = status.Hold

// Edge says that a service is a client of another.
type Edge = status.Edge

// Diagnosis is why connects of an instance do not go on.
type Diagnosis = status.Diagnosis

// Snapshot is a project at one moment.
type Snapshot struct {
	API     string `json:"api"`     // Version
	Version string `json:"version"` // of upall
	Project string `json:"project"`
	Phase   Phase  `json:"phase"`
	Error   string `json:"error,omitempty"` // why the project did not come up
	Code    int    `json:"code"`            // the project's exit code, in phase over
	// Seq is that of the newest event that the snapshot includes; events since then
	// complete it.
	Seq uint64 `json:"seq"`
	// Life counts the supervisor's processes from 1: a crash makes it one more.
	Life          int          `json:"life"`
	SupervisorPID int          `json:"supervisor_pid"`
	KeeperPID     int          `json:"keeper_pid,omitempty"`
	Started       time.Time    `json:"started"`
	Prefix        netip.Prefix `json:"prefix"` // of the processes' loopback addresses
	Socket        string       `json:"socket"` // of the interceptor, for containers' hand-over
	StateDir      string       `json:"state_dir"`
	WaitKillable  bool         `json:"wait_killable"`   // the kernel can keep signals from held calls
	Agent         *Agent       `json:"agent,omitempty"` // if the supervisor runs in a container
	// Processes are those that the project has, with their addresses.
	Processes []compose.Instance `json:"processes"`
	// Published are ports of the host that lead to processes; those of containers are
	// the engine's.
	Published []Published     `json:"published"`
	Instances []status.Status `json:"instances"`
	Holds     []HoldInfo      `json:"holds"`
	Edges     []Edge          `json:"edges"`
	Diagnoses []Diagnosis     `json:"diagnoses"` // the newest, oldest first
}

// Agent says in which container a supervisor runs.
type Agent struct {
	Container string `json:"container"`
	Engine    string `json:"engine"` // as who has started it reaches it
	Owner     int    `json:"owner"`  // user ID, of the engine's user namespace
	// Shim is the directory where containers find the shim.
	Shim string `json:"shim_directory"`
	// OnHost: it is in the namespaces of the host, and runs processes there.
	OnHost bool `json:"on_host,omitempty"`
}

// Published is a port of the host that leads to a port of a process.
type Published struct {
	Instance string `json:"instance"`
	HostIP   string `json:"host_ip,omitempty"` // none = all of the host's addresses
	HostPort uint16 `json:"host_port"`
	Target   uint16 `json:"target"`
	Protocol string `json:"protocol"`
}

// Spec is what a project is to be. It is made and read by the same version of
// upall; its form is no promise.
type Spec struct {
	ID        string        `json:"id"` // of this sending of it: what is sent again is taken once
	Plan      *compose.Plan `json:"plan"`
	Project   string        `json:"project"` // YAML, as it was loaded
	EnvFiles  []string      `json:"env_files,omitempty"`
	Env       []string      `json:"env,omitempty"`      // KEY=value, of who sent it; services inherit it
	Disabled  string        `json:"disabled,omitempty"` // UPALL_DISABLE
	Intercept bool          `json:"intercept"`
	// As is whom processes run as where the supervisor is an agent.
	As *User `json:"as,omitempty"`
	// HoldTimeout is of connects to published ports; 0 = the default.
	HoldTimeout time.Duration  `json:"hold_timeout_ns,omitempty"`
	Grace       *time.Duration `json:"grace_ns,omitempty"` // overrides each service's stop_grace_period
	Ending      Ending         `json:"ending,omitzero"`
	// Services are to run; nil means all of the plan. Others of it go on as they are.
	Services []string `json:"services"`
	Anew     []string `json:"anew,omitempty"` // services that were made anew, or are to be
	// Only, if not nil, are the services that the files have: others that run are
	// stopped and removed. Nil leaves them alone.
	Only []string `json:"only"` // no omitempty: nil and empty differ
}

// User is a user of the machine, by IDs.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups"` // all, GID too
}

// Ending says when a project ends before all of its instances have.
type Ending struct {
	OnExit    bool   `json:"on_exit,omitempty"`    // at the first exit
	OnFailure bool   `json:"on_failure,omitempty"` // at the first exit with a code other than 0
	From      string `json:"from,omitempty"`       // when this service exits; its code is the project's
}

// Verb says what an Action does.
type Verb string

// The verbs.
const (
	Stop    Verb = "stop"    // services, gracefully; the project stays
	Start   Verb = "start"   // what does not run
	Restart Verb = "restart" // stop, then start
	Kill    Verb = "kill"    // at once
	End     Verb = "end"     // stop everything, then the supervisor
	Replace Verb = "replace" // have the next life of an agent's supervisor take over
)

// Action is something to be done with services of the project.
type Action struct {
	Verb     Verb
	Services []string // none = all
	// Timeout is the time between the stop signal and the kill; nil = as the
	// services say.
	Timeout *time.Duration
	NoDeps  bool // do not restart what depends on the services
	// Signal is what Kill sends; "" = SIGKILL, which is also the end of what the
	// services are wanted for: no restart policy starts them again.
	Signal string
	// Forget has End remove the project's records.
	Forget bool
}

// LogQuery selects output of services.
type LogQuery struct {
	Services []string  // none = all
	Tail     int       // the last lines of each instance; negative = all
	Since    time.Time // zero = from the beginning
	Follow   bool      // go on with what is written from now on
}

// LogLine is one line of a service's output.
type LogLine struct {
	Time     time.Time `json:"time"`
	Service  string    `json:"service"`
	Instance string    `json:"instance"`
	Stream   string    `json:"stream"` // "stdout" or "stderr"
	Message  string    `json:"message"`
}

// Record is an event with its place in the Log.
type Record struct {
	Seq uint64 `json:"seq"`
	event.Event
}

// Project is what Serve shows and changes. Its methods are called by many
// goroutines at once.
type Project interface {
	// Snapshot returns at once, with a copy.
	Snapshot() Snapshot
	// Apply returns when the project is to become what the Spec says; events tell
	// how that goes.
	Apply(ctx context.Context, s *Spec) error
	// Act returns when the action is done.
	Act(ctx context.Context, a Action) error
	// Logs gives the lines in the order of their time, and returns the error that
	// yield returned.
	Logs(ctx context.Context, q LogQuery, yield func(LogLine) error) error
	// Record returns what is on record of the present run: see package record.
	Record() (io.ReadCloser, error)
	Measured
}

// Measured is what a Project tells of its traffic and its services.
type Measured interface {
	// Stats gives samples until the context is over, or yield returns an error, which
	// it returns.
	Stats(ctx context.Context, q StatsQuery, yield func(Stats) error) error
	// Service returns what the files say of a service.
	Service(ctx context.Context, service string) (ServiceInfo, error)
}
