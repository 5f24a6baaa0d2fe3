package dashboard

import tea "charm.land/bubbletea/v2"

// mouse selects with a click and scrolls with the wheel.
func (m *Model) mouse(msg tea.Msg) tea.Cmd {
	if m.asks || m.prompt != nil || m.width < leastCells || m.height < leastHeight {
		return nil
	}
	a := m.divide()
	top := a.header + a.path + a.tabs
	switch msg := msg.(type) {
	case tea.MouseClickMsg:
		if msg.Button == tea.MouseLeft {
			return m.click(msg.X, msg.Y, top, a)
		}
	case tea.MouseWheelMsg:
		by := wheelLines
		if msg.Button == tea.MouseWheelUp {
			by = -wheelLines
		}
		m.wheel(by, msg.Y < top+a.main)
	}
	return nil
}

// click selects what is at a place: a view, a service, an edge.
func (m *Model) click(x, y, top int, a areas) tea.Cmd {
	row := y - top - 1 // below the titles
	switch {
	case a.tabs > 0 && y == top-1:
		return m.clickTab(x)
	case m.isHelp || m.isDetail || row < 0 || row >= a.main-1:
	case m.view == viewServices:
		m.services.choose(&m.shared, m.services.from+row)
	case m.view == viewEdges:
		m.edges.at = m.edges.from + row
	}
	return nil
}

func (m *Model) clickTab(x int) tea.Cmd {
	from := 1
	for v := range views {
		to := from + len("1 ") + len(v.String())
		if x >= from && x < to {
			return m.open(v)
		}
		from = to + len(gap)
	}
	return nil
}

// wheel scrolls what is below the pointer.
func (m *Model) wheel(by int, isMain bool) {
	if t := m.scrolled(); t != nil {
		t.top += by
		return
	}
	switch {
	case m.view == viewEdges:
		m.edges.at += by
	case m.view == viewServices && isMain:
		m.services.move(&m.shared, by/wheelLines)
	default:
		m.logs.scroll(by)
	}
}

// scrolled is the pane of lines that is shown, nil if it is another.
func (m *Model) scrolled() *text {
	switch p := m.pane().(type) {
	case *text:
		return p
	case *detail:
		return p.text
	}
	return nil
}
