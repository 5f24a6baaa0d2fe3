package graph

import (
	"cmp"
	"slices"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/status"
)

// pair is a client and its target.
type pair struct{ client, target string }

func (p pair) turned() pair { return pair{p.target, p.client} }

// joining is the work of edges.
type joining struct {
	Input
	graph    *Graph
	ordered  map[pair][]compose.Dependency // by each key that puts the target first
	volumes  map[pair][]compose.Dependency // the pair in the order of the names
	observed map[pair]bool
}

// edges joins what is declared of each two services with what was seen of them.
func edges(in Input, g *Graph) []Edge {
	j := joining{in, g, map[pair][]compose.Dependency{}, map[pair][]compose.Dependency{}, map[pair]bool{}}
	for _, d := range in.Plan.Dependencies {
		p := pair{d.Client, d.Target}
		switch {
		case g.node(d.Client) == nil || g.node(d.Target) == nil:
		case d.Kind == compose.SharedMount:
			j.volumes[p] = append(j.volumes[p], d)
		default:
			j.ordered[p] = append(j.ordered[p], d)
			g.declares = true
		}
	}
	var all []Edge
	for _, e := range in.Edges {
		if e.Observed {
			all = append(all, j.seen(e))
		}
	}
	for p, declared := range j.ordered {
		if !j.observed[p] {
			all = append(all, Edge{Client: p.client, Target: p.target, Declared: declared, Verdict: j.unused(p)})
		}
	}
	for p, declared := range j.volumes {
		all = append(all, Edge{Client: p.client, Target: p.target, Undirected: true, Declared: declared})
	}
	slices.SortFunc(all, g.compare)
	return all
}

// seen is an edge that connects have shown.
func (j *joining) seen(e status.Edge) Edge {
	edge := Edge{
		Client: e.Client, Target: e.Target, Port: e.Port, Protocol: e.Protocol,
		Observed: &Observed{
			Count: e.Count, First: e.First, Last: e.Last,
			Held: e.Held, HeldFor: e.HeldFor, Longest: e.Longest, Refused: e.Refused, Waiting: j.waiting(e),
		},
	}
	if e.FromHost {
		edge.Client = hostID
	}
	if e.Target == "" {
		edge.Target = outsideID(e.Address)
	}
	if e.FromHost || e.Target == "" {
		return edge
	}
	p := pair{e.Client, e.Target}
	j.observed[p] = true
	edge.Declared = j.ordered[p]
	if len(edge.Declared) == 0 && e.Client != e.Target {
		edge.Verdict = Undeclared
	}
	return edge
}

// waiting counts the connects of an edge that are held now.
func (j *joining) waiting(e status.Edge) (count int) {
	for _, s := range j.Instances {
		if !j.Runs || e.FromHost || s.Service != e.Client {
			continue
		}
		for _, w := range s.WaitingOn {
			if w.Target == e.Target && w.Port == e.Port {
				count += w.Count
			}
		}
	}
	return count
}

// unused is the verdict on what is declared of a pair that no connect has shown. It
// needs to be sure: that connects are seen, that the client has had the time for
// one, and that nothing but a connect is what the target is for.
func (j *joining) unused(p pair) Verdict {
	others := len(j.volumes[p]) + len(j.volumes[p.turned()])
	byOthers := func(d compose.Dependency) bool { return !isForConnects(d) }
	target := j.graph.node(p.target)
	hasUDP := slices.ContainsFunc(target.Ports, func(p Port) bool { return p.Protocol != "tcp" })
	switch {
	case !j.sees(), !j.some(p.client, hadTime), !j.some(p.target, hasStarted),
		others > 0, slices.ContainsFunc(j.ordered[p], byOthers), hasUDP:
		return ""
	}
	return Unused
}

// isForConnects tells whether a connect shows that a declaration is of use. A job is
// of use by its end, and what is shared by being there.
func isForConnects(d compose.Dependency) bool {
	return d.Kind == compose.Link || d.Kind == compose.DependsOn && d.Condition != compose.Completed
}

// sees tells whether connects and listeners were seen at all: upall may run without.
func (j *joining) sees() bool {
	return slices.ContainsFunc(j.Edges, func(e status.Edge) bool { return e.Observed }) ||
		slices.ContainsFunc(j.Instances, func(s status.Status) bool { return len(s.Ports) > 0 })
}

func (j *joining) some(service string, is func(status.Status) bool) bool {
	return slices.ContainsFunc(j.Instances, func(s status.Status) bool { return s.Service == service && is(s) })
}

// hadTime tells whether an instance has come as far as it was to, and so has made the
// connects that it needs for that.
func hadTime(s status.Status) bool {
	return s.ReadyAfter > 0 || s.State == event.Exited && !s.Stopped && s.Code == 0
}

// compare orders edges: those between services, to the outside, from the host.
func (g *Graph) compare(a, b Edge) int {
	place := func(e Edge) int {
		switch {
		case e.Client == hostID:
			return 2
		case g.node(e.Target).Kind == Outside:
			return 1
		}
		return 0
	}
	undirected := func(e Edge) int {
		if e.Undirected {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(place(a), place(b)), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Target, b.Target),
		cmp.Compare(undirected(a), undirected(b)), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol),
	)
}
