// Package graph tells who is whose client in a project: what its files declare,
// joined with the connects that were seen.
//
// Use: New with a plan, edges and states; then Text, Dot, Mermaid or JSON.
// Ownership: a Graph is plain data. Promises: pure, and equal inputs give equal
// texts, for everything in them is sorted. A verdict is given only where a connect
// would have shown the contrary.
// Tests: tables for New; a golden for each form.
package graph

import (
	"slices"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/record"
	"upall/supervisor/status"
)

// Input is what a Graph is made of.
type Input struct {
	Project string
	Plan    record.Plan
	Edges   []status.Edge // those that were observed count; what is declared is in the plan
	// Instances are as they are now, or were at the end; nil where the project never
	// ran.
	Instances []status.Status
	Runs      bool // now
}

// Graph is who is whose client. Its JSON form is in docs/graph.md, and stays.
type Graph struct {
	Project string `json:"project"`
	Runs    bool   `json:"runs"`  // now
	Ran     bool   `json:"ran"`   // or has run; else it is what the files declare
	Nodes   []Node `json:"nodes"` // services by name, then the host, then what is outside by address
	Edges   []Edge `json:"edges"` // between services, then to the outside, then from the host

	declares bool // some file puts a service before another
}

// Kind says what a Node is.
type Kind string

// The kinds of nodes.
const (
	Service Kind = "service"
	Host    Kind = "host"    // programs of this host that connect to published ports
	Outside Kind = "outside" // not of the project
)

// Readiness is how a service fares, as a colour shows it.
type Readiness string

// The values of Readiness, what counts most of several instances first.
const (
	Failed   Readiness = "failed" // not started, unhealthy, or exited with another code than 0
	NotReady Readiness = "not ready"
	Ready    Readiness = "ready"
	Over     Readiness = "over" // exited with 0, or stopped
	Unknown  Readiness = ""     // it has not run
)

// Node is a service, or who is none.
type Node struct {
	// ID is a service's name. Others have a colon in theirs, which no service has:
	// "host:", "outside:192.0.2.7", and "outside:" for several addresses.
	ID        string          `json:"id"`
	Kind      Kind            `json:"kind"`
	Name      string          `json:"name"` // or the address
	Runtime   compose.Runtime `json:"runtime,omitempty"`
	Readiness Readiness       `json:"readiness,omitempty"`
	Instances []Instance      `json:"instances,omitempty"` // in order
	Ports     []Port          `json:"ports,omitempty"`     // by number
	Published []HostPort      `json:"published,omitempty"`
}

// Instance is one of a service.
type Instance struct {
	Name       string        `json:"name"`
	Readiness  Readiness     `json:"readiness,omitempty"`
	State      event.State   `json:"state,omitempty"`
	Stopped    bool          `json:"stopped,omitempty"` // exited, because it was asked to
	Code       int           `json:"code,omitempty"`
	Missing    string        `json:"missing,omitempty"` // what it lacks to be ready
	ReadyAfter time.Duration `json:"ready_after_ns,omitempty"`
}

// Port is one of a service.
type Port struct {
	Number   uint16 `json:"port"`
	Protocol string `json:"protocol"`
	Declared bool   `json:"declared,omitempty"`
	Listens  bool   `json:"listens,omitempty"` // some instance does
}

// HostPort is a port of the host that leads to a service.
type HostPort struct {
	IP       string `json:"host_ip,omitempty"`   // none = all of the host's addresses
	Port     uint16 `json:"host_port,omitempty"` // 0 = any free one
	End      uint16 `json:"host_port_end,omitempty"`
	Target   uint16 `json:"port"`
	Protocol string `json:"protocol"`
}

// Verdict is what follows from what is declared and what was observed.
type Verdict string

// The verdicts.
const (
	Undeclared Verdict = "used but not declared"
	Unused     Verdict = "declared but never used"
)

// Edge says that one node is a client of another.
type Edge struct {
	Client     string `json:"client"` // ID of a node
	Target     string `json:"target"`
	Undirected bool   `json:"undirected,omitempty"` // a shared volume: neither is the client
	Port       uint16 `json:"port,omitempty"`       // 0: declared, and no connect was seen
	Protocol   string `json:"protocol,omitempty"`
	// Declared is all that the files say of these two services, whatever the port.
	Declared []compose.Dependency `json:"declared,omitempty"`
	Observed *Observed            `json:"observed,omitempty"`
	Verdict  Verdict              `json:"verdict,omitempty"`
}

// Observed is what was seen of the connects of an Edge.
type Observed struct {
	Count   uint64        `json:"count"`
	First   time.Time     `json:"first,omitzero"`
	Last    time.Time     `json:"last,omitzero"`
	Held    uint64        `json:"held"`        // so many of them
	HeldFor time.Duration `json:"held_for_ns"` // all together
	Longest time.Duration `json:"longest_ns"`
	Refused uint64        `json:"refused"` // refused or expired
	Waiting int           `json:"waiting"` // held at this moment
}

// New makes a Graph.
func New(in Input) *Graph {
	g := &Graph{Project: in.Project, Runs: in.Runs, Ran: in.Runs || len(in.Instances) > 0}
	g.Nodes = nodes(in)
	g.Edges = edges(in, g)
	return g
}

// Declared leaves out the edges that no file declares.
func (g *Graph) Declared() *Graph {
	return g.filter(func(e Edge) bool { return len(e.Declared) > 0 })
}

// Observed leaves out the edges that no connect has shown.
func (g *Graph) Observed() *Graph {
	return g.filter(func(e Edge) bool { return e.Observed != nil })
}

func (g *Graph) filter(stays func(Edge) bool) *Graph {
	part := *g
	part.Edges = slices.DeleteFunc(slices.Clone(g.Edges), func(e Edge) bool { return !stays(e) })
	part.Nodes = slices.DeleteFunc(slices.Clone(g.Nodes), func(n Node) bool {
		return n.Kind != Service && !slices.ContainsFunc(part.Edges, func(e Edge) bool { return e.Client == n.ID || e.Target == n.ID })
	})
	return &part
}

// node returns the node with an ID, nil if there is none.
func (g *Graph) node(id string) *Node {
	n := slices.IndexFunc(g.Nodes, func(n Node) bool { return n.ID == id })
	if n < 0 {
		return nil
	}
	return &g.Nodes[n]
}
