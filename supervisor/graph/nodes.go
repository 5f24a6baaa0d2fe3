package graph

import (
	"cmp"
	"maps"
	"slices"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/status"
)

// hostID is the ID of the host's node.
const hostID = string(Host) + ":"

// outsideID is the ID of the node of an address, "" for several.
func outsideID(address string) string { return string(Outside) + ":" + address }

// nodes are the services of the plan and those that were seen, then who else is at
// an end of an edge.
func nodes(in Input) []Node {
	services := map[string]*Node{}
	node := func(name string) *Node {
		if services[name] == nil {
			services[name] = &Node{ID: name, Kind: Service, Name: name}
		}
		return services[name]
	}
	for _, s := range in.Plan.Services {
		n := node(s.Name)
		n.Runtime = s.Runtime
		for _, p := range s.Ports {
			n.Ports = append(n.Ports, Port{Number: p.Number, Protocol: p.Protocol, Declared: true})
		}
		for _, p := range s.Published {
			n.Published = append(n.Published, hostPort(p))
		}
		if len(in.Instances) == 0 {
			for _, name := range s.Instances {
				n.Instances = append(n.Instances, Instance{Name: name})
			}
		}
	}
	for _, s := range in.Instances {
		node(s.Service).add(s, in.Runs)
	}
	for _, e := range in.Edges {
		if !e.FromHost {
			node(e.Client)
		}
		if e.Target != "" {
			node(e.Target)
		}
	}
	var all []Node
	for _, name := range slices.Sorted(maps.Keys(services)) {
		all = append(all, *services[name])
	}
	return append(all, others(in.Edges)...)
}

// others are the ends of edges that are no services.
func others(edges []status.Edge) (all []Node) {
	found := map[string]Node{}
	for _, e := range edges {
		if e.FromHost {
			found[hostID] = Node{ID: hostID, Kind: Host, Name: "host"}
		}
		if e.Target == "" {
			id := outsideID(e.Address)
			found[id] = Node{ID: id, Kind: Outside, Name: cmp.Or(e.Address, "several addresses")}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(found)) { // "host:" before "outside:"
		all = append(all, found[id])
	}
	return all
}

func hostPort(p compose.Publish) HostPort {
	return HostPort{IP: p.HostIP, Port: p.HostPort, End: p.HostPortEnd, Target: p.Target, Protocol: p.Protocol}
}

// add adds an instance.
func (n *Node) add(s status.Status, runs bool) {
	i := Instance{
		Name: s.Instance, Readiness: readiness(s, runs), State: s.State,
		Stopped: s.Stopped, Code: s.Code, ReadyAfter: s.ReadyAfter,
	}
	if runs {
		i.Missing = s.Missing
	}
	if len(n.Instances) == 0 || rank(i.Readiness) < rank(n.Readiness) {
		n.Readiness = i.Readiness
	}
	n.Instances = append(n.Instances, i)
	n.Runtime = cmp.Or(s.Runtime, n.Runtime) // the command line may have chosen it
	for _, number := range s.Ports {
		n.listens(number)
	}
}

// listens notes a port on which an instance listens: what is seen is TCP.
func (n *Node) listens(number uint16) {
	if at := slices.IndexFunc(n.Ports, func(p Port) bool { return p.Number == number && p.Protocol == "tcp" }); at >= 0 {
		n.Ports[at].Listens = true
		return
	}
	n.Ports = append(n.Ports, Port{Number: number, Protocol: "tcp", Listens: true})
	slices.SortFunc(n.Ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Protocol, b.Protocol))
	})
}

// rank orders what several instances of a service say of it.
func rank(r Readiness) int {
	return slices.Index([]Readiness{Failed, NotReady, Ready, Over, Unknown}, r)
}

// readiness tells how an instance fares. Of a run that is over, some ends may be
// missing.
func readiness(s status.Status, runs bool) Readiness {
	switch {
	case s.State == event.Exited && (s.Stopped || s.Code == 0):
		return Over
	case s.Failure() != "":
		return Failed
	case !hasStarted(s):
		if runs {
			return NotReady
		}
		return Unknown
	case !runs:
		return Over
	case s.Ready:
		return Ready
	}
	return NotReady
}

// hasStarted tells whether the program of an instance has run.
func hasStarted(s status.Status) bool {
	switch s.State {
	case event.StateWaiting, event.StateListening, event.StateReady, event.StateStopping, event.Restarting, event.Exited:
		return true
	}
	return !s.Started.IsZero() || !s.ExitedAt.IsZero()
}
