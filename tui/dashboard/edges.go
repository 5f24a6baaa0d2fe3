package dashboard

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"upall/internal/words"
	"upall/supervisor/control"
	"upall/supervisor/status"
)

// sparkCells is how wide a sparkline is.
const sparkCells = 16

// edges is the table of who connects to whom.
type edges struct {
	cells, height int
	window        window
	at            int // the selected row
	from, to      int
}

func (p *edges) update(s *shared, m tea.Msg) (tea.Cmd, bool) {
	press, ok := m.(tea.KeyPressMsg)
	if !ok {
		return nil, false
	}
	by, ok := steps(s.keys, press, p.height-1)
	p.at += by
	return nil, ok
}

// steps is how far a key goes in a list.
func steps(k KeyMap, press tea.KeyPressMsg, page int) (by int, ok bool) {
	const far = 1 << 30
	switch {
	case key.Matches(press, k.Up):
		return -1, true
	case key.Matches(press, k.Down):
		return 1, true
	case key.Matches(press, k.PageUp):
		return -page, true
	case key.Matches(press, k.PageDown):
		return page, true
	case key.Matches(press, k.Top):
		return -far, true
	case key.Matches(press, k.Bottom):
		return far, true
	}
	return 0, false
}

func (p *edges) layout(s *shared, cells, height int) {
	p.cells, p.height = cells, height
	count := len(s.snapshot.Edges)
	p.at = clamp(p.at, 0, max(0, count-1))
	p.from, p.to = p.window.show(p.at, count, height-1)
}

func (p *edges) view(s *shared) []string {
	if len(s.snapshot.Edges) == 0 {
		return fit([]string{"", " nobody has connected to anybody yet"}, p.cells, p.height)
	}
	g := grid{columns: []column{
		{title: "CLIENT → SERVER", least: 12},
		{title: "NOW", least: 6, spare: 9},
		{title: "CONNECTS", right: true},
		{title: "/S", right: true, spare: 4},
		{title: "HELD", right: true, spare: 8},
		{title: "FAILED", right: true, spare: 7},
		{title: "OPEN", right: true, spare: 5},
		{title: "SENT", right: true, spare: 3},
		{title: "/S", right: true, spare: 6},
		{title: "RECEIVED", right: true, spare: 3},
		{title: "/S", right: true, spare: 6},
		{title: "RTT", right: true, spare: 2},
		{title: "TRAFFIC", spare: 1},
	}}
	for n := range s.snapshot.Edges {
		g.rows = append(g.rows, s.edgeCells(&s.snapshot.Edges[n]))
	}
	lines := g.lines(p.cells-1, p.from, p.to, &s.look)
	for n := range lines {
		lines[n] = " " + lines[n]
		if n == p.at-p.from+1 {
			lines[n] = highlight(lines[n], s.look.selected, p.cells)
		}
	}
	return fit(lines, p.cells, p.height)
}

func (s *shared) edgeCells(e *status.Edge) []cell {
	look := &s.look
	row := make([]cell, 13)
	row[0].text = edgeText(e)
	row[1] = s.edgeNow(e)
	if !e.Observed {
		return row
	}
	row[2].text = strconv.FormatUint(e.Count, 10)
	if e.Held > 0 {
		row[4] = cell{fmt.Sprintf("%d (%s)", e.Held, status.Span(e.Longest)), nil}
	}
	if e.Refused > 0 {
		row[5] = cell{strconv.FormatUint(e.Refused, 10), &look.failed}
	}
	if sample := s.of(e.Key()); sample != nil {
		s.sampleCells(row, sample)
	}
	return row
}

func (s *shared) sampleCells(row []cell, e *control.EdgeStats) {
	row[2].text = strconv.FormatUint(e.Connects, 10)
	row[6].text = strconv.Itoa(e.Open)
	row[7].text, row[9].text = bytesText(e.Sent), bytesText(e.Received)
	if s.stats.Interval > 0 {
		row[3].text = rate(e.ConnectsPerSecond)
		row[8].text, row[10].text = bytesText(uint64(e.SentPerSecond)), bytesText(uint64(e.ReceivedPerSecond))
	}
	if e.RTT > 0 {
		row[11].text = rtt(e.RTT)
	}
	if !s.isStill {
		row[12] = cell{s.traffic[e.Key()].sparkline(sparkCells), &s.look.faint}
	}
}

func rate(perSecond float64) string {
	if perSecond > 0 && perSecond < 10 {
		return fmt.Sprintf("%.1f", perSecond)
	}
	return fmt.Sprintf("%.0f", perSecond)
}

func rtt(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%d µs", d.Microseconds())
	}
	return words.Seconds(d)
}

// edgeNow says whether somebody waits on an edge at this moment, and what else is
// remarkable.
func (s *shared) edgeNow(e *status.Edge) cell {
	var oldest time.Time
	for _, h := range s.snapshot.Holds {
		isOf := h.Service == e.Client && h.Target == e.Target && (h.Port == e.Port || e.Port == 0)
		if isOf && (oldest.IsZero() || h.Since.Before(oldest)) {
			oldest = h.Since
		}
	}
	switch {
	case !oldest.IsZero():
		return cell{"waits " + status.Span(s.now.Sub(oldest)), &s.look.waiting}
	case !e.Observed:
		return cell{"declared only", &s.look.faint}
	}
	return cell{}
}

// edgeText names an edge.
func edgeText(e *status.Edge) string {
	client, target := e.Client, e.Target
	if target == "" {
		target = e.Address
		if addr, err := netip.ParseAddr(target); err == nil && addr.Is6() {
			target = "[" + target + "]"
		}
		if target == "" {
			target = "outside"
		}
	}
	if e.Port != 0 {
		target = fmt.Sprintf("%s:%d", target, e.Port)
	}
	if e.Protocol == "udp" {
		target += "/udp"
	}
	return client + " → " + target
}
