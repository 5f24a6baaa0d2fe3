package graph

import (
	"fmt"
	"slices"
	"strings"
)

// fill is the colour of a node in a drawing.
func fill(n *Node) string {
	switch {
	case n.Kind != Service:
		return "#ffffff"
	case n.Readiness == Ready:
		return "#c8e6c9"
	case n.Readiness == NotReady:
		return "#fff3bf"
	case n.Readiness == Failed:
		return "#ffcdd2"
	case n.Readiness == Over:
		return "#e0e0e0"
	}
	return "#f5f5f5"
}

// label is what a drawing says of a node, a line each.
func (n *Node) label(runs bool) []string {
	lines := []string{n.title()}
	if state := n.state(runs); state != "" {
		lines = append(lines, state)
	}
	return lines
}

// label is what a drawing says of an edge, a line each.
func (e *Edge) label() []string {
	lines := []string{e.portName(), e.seen()}
	if e.Observed == nil {
		lines = append(lines, e.declaration())
	}
	if e.Verdict == Unused {
		lines = append(lines, "never used")
	}
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}

// Dot is the graph for Graphviz: what was seen is bold, what is declared alone is
// dashed, and what is shared without a direction dotted.
func (g *Graph) Dot() string {
	var out strings.Builder
	fmt.Fprintf(&out, "digraph %s {\n", quoted(g.Project))
	out.WriteString("  rankdir=LR\n")
	out.WriteString("  node [shape=box, style=\"rounded,filled\", color=\"#616161\", fontname=\"sans-serif\", fontsize=12]\n")
	out.WriteString("  edge [color=\"#424242\", fontname=\"sans-serif\", fontsize=10]\n")
	for _, n := range g.Nodes {
		shape := ""
		if n.Kind != Service {
			shape = ", shape=ellipse, style=\"filled,dashed\""
		}
		fmt.Fprintf(&out, "  %s [label=%s, fillcolor=%q%s]\n", quoted(n.ID), quoted(n.label(g.Runs)...), fill(&n), shape)
	}
	for _, e := range g.Edges {
		style := "bold"
		switch {
		case e.Undirected:
			style = "dotted, dir=none"
		case e.Observed == nil:
			style = "dashed"
		}
		fmt.Fprintf(&out, "  %s -> %s [label=%s, style=%s]\n", quoted(e.Client), quoted(e.Target), quoted(e.label()...), style)
	}
	out.WriteString("}\n")
	return out.String()
}

// quoted is text in DOT, a line each. In labels backslashes and entities mean
// something.
func quoted(lines ...string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;")
	var escaped []string
	for _, line := range lines {
		escaped = append(escaped, escape.Replace(printable(line)))
	}
	return `"` + strings.Join(escaped, `\n`) + `"`
}
