package compose

import (
	"net/netip"
	"time"
)

// Runtime says what runs the instances of a service.
type Runtime string

// The runtimes.
const (
	Engine  Runtime = "engine"  // Docker Engine
	Process Runtime = "process" // plain processes of this host
)

// Plan is what the runtimes need to know of a project. It is plain data: a
// pure function of the loaded project and the PlanOptions.
type Plan struct {
	Name       string // project name
	WorkingDir string
	Services   []Service // sorted by name
	Networks   []Network // those that a container of the plan is on; sorted by key
	Warnings   []string  // one line each, for the user
	// Dependencies are what the files declare between services, whatever became of it.
	Dependencies []Dependency
}

// Service is one service of a Plan.
type Service struct {
	Name      string
	Runtime   Runtime
	Names     []string // host names under which peers reach it: service name, container_name, hostname, aliases
	Instances []Instance
	Ports     []Port    // declared: expose and the targets of ports; sorted, unique
	Published []Publish // the entries of ports; sorted, unique
	Settings  Settings
	Gates     []Gate // sorted by service

	// LinkNames are names that this service alone uses for a peer (links:
	// "db:database"): from the name to the service's name. Nil if there are none.
	LinkNames map[string]string
	// ExtraHosts are the entries of extra_hosts as lines of a hosts file
	// ("10.0.0.1\tmail"), sorted by name; host-gateway is 127.0.0.1, for a
	// process runs on the host. Nil in the engine runtime, which has its own way.
	ExtraHosts []string
	// ExtraNames are the names in extra_hosts, sorted: there the user's entries
	// stand, and no others.
	ExtraNames []string

	// Namespace says whose network namespace a container is in: "" its own,
	// "service:NAME" (see Instance.Owner), "container:NAME", NamespaceHost or
	// NamespaceNone.
	Namespace string
	// Networks are those of the service's containers, in the order in which the
	// engine's DNS looks for names in them. Nil for a process, and where
	// Namespace is not "".
	Networks []ServiceNetwork

	Command    []string // entrypoint and command, ready for exec; empty (engine only) = the image's own
	Env        []string // KEY=value, sorted; only what the file sets (environment, env_file)
	Dir        string   // absolute working directory
	User       string   // "" = as upall
	StopSignal string   // "" = SIGTERM
	StopGrace  time.Duration
	Restart    Restart
	Attach     bool // show its logs

	// Health is the file's healthcheck, defaults filled in; nil if the file gives
	// no test. Then a container has that of its image, if there is one, unless
	// NoHealth says that the file wants none (disable: true, NONE).
	Health   *Healthcheck
	NoHealth bool
}

// Healthcheck is how to find out whether an instance works. One of Test and Shell
// is set.
type Healthcheck struct {
	Test  []string // program and arguments, ready for exec
	Shell string   // for the shell: that of the image, or /bin/sh

	Interval      time.Duration // from the end of one probe to the next
	Timeout       time.Duration // a probe that lasts longer is killed, and has failed
	StartPeriod   time.Duration // from the start; failures of before do not count
	StartInterval time.Duration // Docker's Interval within StartPeriod
	Retries       int           // as many failures in a row, and it is unhealthy
}

// Instance is one process or container of a service.
type Instance struct {
	Name  string // "web-1"
	Index int    // from 1
	// Addr is the instance's own loopback address in the process runtime; the
	// zero Addr in the engine runtime.
	Addr netip.Addr
	// Addr2 is a second loopback address, for an IPv6-only wildcard listener
	// beside an IPv4 one on the same port.
	Addr2 netip.Addr
	// ContainerName is the container's name; "" in the process runtime.
	ContainerName string
	// Owner is the instance whose network namespace a container shares
	// (network_mode: service:NAME); "" if it shares none of the plan's.
	Owner string
	// Endpoints are the container's, in the order of Service.Networks.
	Endpoints []Endpoint
}

// Port is a transport port of a service.
type Port struct {
	Number   uint16
	Protocol string // "tcp" or "udp"
}

// Publish forwards a port of the host to a port of the service.
type Publish struct {
	HostIP   string // "" = every address of the host
	HostPort uint16 // 0 = any free port
	// HostPortEnd is the last port of a range of which any free one will do
	// ("8000-8010:80"); 0 = HostPort alone.
	HostPortEnd uint16
	Target      uint16
	Protocol    string // "tcp" or "udp"
}

// Hold says which connects of a service may be held.
type Hold string

// The values of x-upall.hold.
const (
	HoldPeers    Hold = "peers"    // connects to other services of the project
	HoldLoopback Hold = "loopback" // those, and connects to the service's own addresses
	HoldNone     Hold = "none"
)

// Ready says what makes a service ready.
type Ready string

// The values of x-upall.ready.
const (
	ReadyHealthy Ready = "healthy" // the listener, and the healthcheck where the file has one
	ReadyListen  Ready = "listen"  // the listener alone
)

// Settings are the x-upall settings of a service, defaults filled in.
type Settings struct {
	HoldTimeout  time.Duration
	Hold         Hold
	Ready        Ready
	AllowIOURing bool
}

// Condition is a depends_on condition of the Compose specification.
type Condition string

// The conditions.
const (
	Started   Condition = "service_started"
	Healthy   Condition = "service_healthy"
	Completed Condition = "service_completed_successfully"
)

// GateKind says what a Gate holds back.
type GateKind string

// The kinds of gates.
const (
	GateConnect GateKind = "connect" // the dependent's connects to the project's services
	GateStart   GateKind = "start"   // the dependent's start
	GateNone    GateKind = "none"    // nothing
)

// Gate is what a depends_on entry became. A GateConnect with the condition
// Started asks for nothing more than the hold that every connect gets.
type Gate struct {
	Service   string // the dependency
	Condition Condition
	Kind      GateKind
	Required  bool // false: a missing dependency is no error
	Restart   bool // restart: true of the depends_on entry
}

// Restart is a restart policy of the Compose specification.
type Restart struct {
	Policy string // "no", "always", "on-failure", "unless-stopped"
	Max    int    // of on-failure; 0 = no limit
}
