package dashboard

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"upall/supervisor/graph"
	"upall/supervisor/timeline"
)

// text is a pane of lines that are made elsewhere, and scrolled here.
type text struct {
	make          func(s *shared, cells int) []string
	cells, height int
	lines         []string
	top           int
}

func (p *text) update(s *shared, m tea.Msg) (tea.Cmd, bool) {
	press, ok := m.(tea.KeyPressMsg)
	if !ok {
		return nil, false
	}
	by, ok := steps(s.keys, press, p.height)
	p.top += by
	return nil, ok
}

func (p *text) layout(s *shared, cells, height int) {
	p.cells, p.height = cells, height
	p.lines = p.make(s, cells)
	p.top = clamp(p.top, 0, max(0, len(p.lines)-height))
}

func (p *text) view(*shared) []string {
	return fit(append([]string(nil), p.lines[p.top:]...), p.cells, p.height)
}

func newTimelineText() *text {
	return &text{make: func(s *shared, cells int) []string {
		if s.line == nil {
			return []string{"", " nothing is on record yet"}
		}
		return indented(cells, func(cells int) string {
			return s.line.Text(timeline.TextOptions{Width: cells, Color: s.color})
		})
	}}
}

func newGraphText() *text {
	return &text{make: func(s *shared, cells int) []string {
		if s.run == nil {
			return []string{"", " nothing is on record yet"}
		}
		g := graph.New(graph.Input{
			Project: s.snapshot.Project, Plan: s.run.Plan, Edges: s.snapshot.Edges, Instances: s.snapshot.Instances, Runs: true,
		})
		return indented(cells, func(cells int) string {
			return g.Text(graph.TextOptions{Width: cells, Color: s.color})
		})
	}}
}

// indented are the lines of a text below the names of the views, where there is room.
func indented(cells int, text func(cells int) string) []string {
	indent := ""
	if cells > leastCells {
		indent = " "
	}
	lines := strings.Split(strings.TrimRight(text(cells-len(indent)), "\n"), "\n")
	for n := range lines {
		lines[n] = indent + lines[n]
	}
	return lines
}
