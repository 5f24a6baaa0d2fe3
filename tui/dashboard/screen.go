package dashboard

import (
	"fmt"
	"strings"

	"charm.land/bubbles/v2/key"

	"upall/supervisor/control"
	"upall/supervisor/status"
)

// The least screen that everything has room on.
const (
	leastCells  = 40
	leastHeight = 12
)

// view is one of the screens.
type view int

const (
	viewServices view = iota
	viewEdges
	viewLogs
	viewTimeline
	viewGraph
	views // how many there are
)

func (v view) String() string {
	return [...]string{"services", "edges", "logs", "timeline", "graph"}[v]
}

// areas are the heights of the parts of a screen, from above.
type areas struct {
	header, path, tabs int
	main               int // the view's own pane
	why                int
	logs               int // below the table of services
}

// divide gives each part its height.
func (m *Model) divide() (a areas) {
	a.header = 1
	if m.height >= 16 {
		a.path, a.tabs = 1, 1
	}
	rest := m.height - a.header - a.path - a.tabs - m.footerHeight()
	if m.view != viewServices || m.isHelp || m.isDetail {
		a.main = rest
		return a
	}
	table := len(m.snapshot.Instances) + 1
	a.why = clamp(rest/5, 3, 5)
	a.main = clamp(table, 2, max(2, (rest-a.why)*3/5))
	a.logs = rest - a.why - a.main
	return a
}

// layout tells each part its room. It is called after each message, so that a view
// only draws.
func (m *Model) layout() {
	if m.width < leastCells || m.height < leastHeight {
		return
	}
	a := m.divide()
	m.services.layout(&m.shared, m.width, a.main)
	if m.view == viewLogs {
		m.logs.isFull = true
		m.logs.layout(&m.shared, m.width, a.main)
	} else {
		m.logs.isFull = false
		m.logs.layout(&m.shared, m.width, a.logs)
	}
	if p := m.pane(); p != pane(m.services) && p != pane(m.logs) {
		p.layout(&m.shared, m.width, a.main)
	}
}

// pane is what the view is about.
func (m *Model) pane() pane {
	switch {
	case m.isHelp:
		return m.help
	case m.isDetail:
		return m.detail
	}
	return [...]pane{m.services, m.edges, m.logs, m.timeline, m.graph}[m.view]
}

// render draws the screen: height lines, each of at most width cells.
func (m *Model) render() string {
	if m.width < leastCells || m.height < leastHeight {
		text := fmt.Sprintf("upall needs %d x %d cells, and has %d x %d: make the window larger (q leaves)", leastCells, leastHeight, m.width, m.height)
		return strings.Join(fit(wrap(text, m.width), m.width, m.height), "\n")
	}
	s, a := &m.shared, m.divide()
	lines := []string{m.headerLine()}
	if a.path > 0 {
		lines = append(lines, s.look.faint.Render(cut(" "+m.pathText(), m.width)), m.tabsLine())
	}
	lines = append(lines, m.pane().view(s)...)
	if a.why > 0 {
		lines = append(lines, m.whyLines(a.why)...)
	}
	if a.logs > 0 {
		lines = append(lines, m.logs.view(s)...)
	}
	footer := m.footer()
	return strings.Join(append(fit(lines, m.width, m.height-len(footer)), fit(footer, m.width, len(footer))...), "\n")
}

func (m *Model) whyLines(height int) []string {
	lines := []string{m.rule(m.whyTitle(), "", m.width)}
	for _, text := range m.why() {
		for n, line := range wrap(safe(text, false), m.width-4) {
			indent := "  "
			if n > 0 {
				indent = "    "
			}
			lines = append(lines, indent+line)
		}
	}
	return fit(lines, m.width, height)
}

func (m *Model) headerLine() string {
	name := m.look.title.Render(m.options.Project)
	if !m.isKnown {
		return spread(" "+name+"  connecting", "", m.width)
	}
	ready, all := m.ready()
	count := fmt.Sprintf("%d of %d ready", ready, all)
	style := m.look.waiting
	if ready == all {
		style = m.look.ready
	}
	parts := []string{" " + name}
	if p := m.snapshot.Phase; p != control.Up {
		parts = append(parts, string(p))
	}
	parts = append(parts, style.Render(count))
	if n := m.failed(); n > 0 {
		parts = append(parts, m.look.failed.Render(fmt.Sprintf("%d failed", n)))
	}
	parts = append(parts, status.Span(m.now.Sub(m.snapshot.Started)))
	right := ""
	if m.isGone {
		right = m.look.failed.Render("nothing more comes from the project") + " "
	}
	return spread(strings.Join(parts, "  "), right, m.width)
}

// pathText is the critical path so far.
func (m *Model) pathText() string {
	switch {
	case m.line == nil:
		return ""
	case m.line.Path == nil:
		return "critical path: nothing is ready yet"
	}
	name := "critical path: "
	if ready, all := m.ready(); ready < all {
		name = "critical path so far: "
	}
	return name + m.line.Path.Summary()
}

func (m *Model) tabsLine() string {
	var tabs []string
	for v := range views {
		text := fmt.Sprintf("%d %s", v+1, v)
		if v == m.view && !m.isHelp && !m.isDetail {
			text = m.look.tab.Render(text)
		} else {
			text = m.look.faint.Render(text)
		}
		tabs = append(tabs, text)
	}
	return spread(" "+strings.Join(tabs, "  "), "", m.width)
}

// footer is the bar of keys, a prompt, a question, or what there is to say.
func (m *Model) footer() []string {
	switch {
	case m.asks:
		return m.question()
	case m.prompt != nil:
		return []string{m.prompt.view(&m.shared, m.width)}
	case m.message != "":
		return []string{" " + cut(m.message, m.width-1)}
	}
	return []string{m.keyBar()}
}

func (m *Model) footerHeight() int { return len(m.footer()) }

// question asks what becomes of the project.
func (m *Model) question() []string {
	title := fmt.Sprintf("Leave %s?", m.options.Project)
	lines := []string{m.rule(title, "", m.width)}
	for _, choice := range [][2]string{
		{"d", "detach: it goes on"},
		{"s", "stop all its services"},
		{"esc", "stay"},
	} {
		lines = append(lines, fmt.Sprintf("  %s  %s", m.look.title.Render(padded(choice[0], 4)), choice[1]))
	}
	return lines
}

// keyBar has the keys that matter here, as many as have room.
func (m *Model) keyBar() string {
	line := ""
	for _, h := range m.hints() {
		more := " " + m.look.title.Render(h[0]) + " " + m.look.faint.Render(h[1]) + " "
		if width(line)+width(more) > m.width {
			break
		}
		line += more
	}
	return padded(line, m.width)
}

func (m *Model) hints() [][2]string {
	k := m.keys
	first := func(b key.Binding) string { return strings.Fields(b.Help().Key)[0] }
	all := [][2]string{{first(k.Help), "help"}, {first(k.Quit), "quit"}}
	switch {
	case m.isHelp:
		return append([][2]string{{"esc", "back"}, {"↑↓", "scroll"}}, all...)
	case m.isDetail:
		all = append([][2]string{{"esc", "back"}, {"↑↓", "scroll"}}, all...)
		return append(all, m.actionHints()...)
	}
	switch m.view {
	case viewServices:
		all = append([][2]string{{"↑↓", "select"}, {"enter", "details"}}, all...)
		all = append(all, [2]string{first(k.Search), "search"})
		return append(all, m.actionHints()...)
	case viewLogs:
		all = append([][2]string{{first(k.Search), "search"}, {first(k.Filter), "filter"}, {first(k.Merged), "all/one"}}, all...)
		return append(all, [2]string{first(k.Follow), "follow"}, [2]string{first(k.Wrap), "wrap"}, [2]string{first(k.Copy), "copy"}, [2]string{first(k.Pager), "pager"})
	}
	return append([][2]string{{"↑↓", "scroll"}, {"tab", "next view"}}, all...)
}

func (m *Model) actionHints() [][2]string {
	return [][2]string{{"r", "restart"}, {"s", "stop"}, {"u", "start"}, {"E", "shell"}, {"w", "open"}, {"d", "detach"}}
}
