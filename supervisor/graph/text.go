package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// TextOptions are about the output of Text.
type TextOptions struct {
	Width int // of a line at most; 0 = any
	Color bool
}

// yellow is the colour of what a person should look at.
const yellow = "33"

// colorOf is the ANSI colour of a readiness.
func colorOf(r Readiness) string {
	switch r {
	case Ready:
		return "32"
	case NotReady:
		return yellow
	case Failed:
		return "31"
	case Over:
		return "2" // faint
	}
	return ""
}

// Text is the graph for a terminal.
func (g *Graph) Text(o TextOptions) string {
	l := layout{o.Width, o.Color}
	services := [][]cell{{plain("SERVICE"), plain("RUNTIME"), plain("STATE"), plain("PORTS")}}
	for _, n := range g.Nodes {
		if n.Kind == Service {
			state := cell{text: cmp.Or(n.state(g.Runs), "-"), color: colorOf(n.Readiness)}
			services = append(services, []cell{plain(n.title()), plain(string(n.Runtime)), state, plain(n.ports())})
		}
	}
	var between, outside, host [][]cell
	for _, e := range g.Edges {
		row := g.row(e)
		switch {
		case e.Client == hostID:
			host = append(host, row)
		case g.node(e.Target).Kind == Outside:
			outside = append(outside, row)
		default:
			between = append(between, row)
		}
	}
	sections := []struct {
		title string
		rows  [][]cell
	}{
		{"", services},
		{"BETWEEN SERVICES", between},
		{"FINDINGS", g.findings()},
		{"TO THE OUTSIDE", outside},
		{"FROM THE HOST", host},
	}
	var out strings.Builder
	for _, s := range sections {
		if len(s.rows) == 0 {
			continue
		}
		if out.Len() > 0 {
			out.WriteString("\n")
		}
		if s.title != "" {
			out.WriteString(s.title + "\n")
		}
		l.write(&out, l.fold(s.rows))
	}
	return out.String()
}

// row is the line of an edge: who, what was seen, what is declared. A verdict stands
// where the other half is missing.
func (g *Graph) row(e Edge) []cell {
	arrow := "->"
	if e.Undirected {
		arrow = "--"
	}
	edge := fmt.Sprintf("%s %s %s", g.node(e.Client).Name, arrow, e.endpoint(g.node(e.Target)))
	row := []cell{{text: edge, keepsEnd: true}, plain(e.seen()), plain(e.declaration())}
	switch e.Verdict {
	case Undeclared:
		row[2] = cell{text: "used, not declared", color: g.undeclaredColor()}
	case Unused:
		row[1] = cell{text: "never used", color: yellow}
	}
	return row
}

// fold makes one column of the last two of three where the first of them is empty, or
// they have no room beside each other.
func (l layout) fold(rows [][]cell) [][]cell {
	if len(rows[0]) != 3 {
		return rows
	}
	widths := layout{}.widths(rows)
	hasRoom := l.width == 0 || total(widths[:2])+len(gap)+min(wrapsAt, widths[2]) <= l.width
	if widths[1] > 0 && hasRoom {
		return rows
	}
	folded := make([][]cell, len(rows))
	for n, row := range rows {
		parts := slices.DeleteFunc([]string{row[1].text, row[2].text}, func(s string) bool { return s == "" })
		folded[n] = []cell{row[0], {text: strings.Join(parts, "; "), color: cmp.Or(row[1].color, row[2].color)}}
	}
	return folded
}

// undeclaredColor is none where a project leaves it all to upall.
func (g *Graph) undeclaredColor() string {
	if g.declares {
		return yellow
	}
	return ""
}

// findings are the edges by their verdicts.
func (g *Graph) findings() (rows [][]cell) {
	isUndeclared := func(e Edge) bool { return e.Verdict == Undeclared }
	if !g.declares && slices.ContainsFunc(g.Edges, isUndeclared) {
		return [][]cell{{plain("nothing is declared"), plain("upall needs no depends_on; Compose alone starts these services in any order")}}
	}
	for _, v := range []Verdict{Undeclared, Unused} {
		var edges []string
		for _, e := range g.Edges {
			if edge := e.Client + "->" + e.Target; e.Verdict == v && !slices.Contains(edges, edge) {
				edges = append(edges, edge)
			}
		}
		if len(edges) > 0 {
			rows = append(rows, []cell{{text: string(v), color: yellow}, plain(strings.Join(edges, ", "))})
		}
	}
	return rows
}
