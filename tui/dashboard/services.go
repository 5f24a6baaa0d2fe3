package dashboard

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"upall/internal/event"
	"upall/supervisor/status"
)

// services is the table of all instances.
type services struct {
	cells, height int
	window        window
	order         []int // numbers of the instances, as they are shown
	from, to      int   // of order
	hasMoved      bool  // the user has chosen what is selected
}

func (p *services) update(s *shared, m tea.Msg) (tea.Cmd, bool) {
	press, ok := m.(tea.KeyPressMsg)
	if !ok {
		return nil, false
	}
	switch {
	case key.Matches(press, s.keys.Up):
		p.move(s, -1)
	case key.Matches(press, s.keys.Down):
		p.move(s, 1)
	default:
		return nil, false
	}
	return nil, true
}

// move selects another row.
func (p *services) move(s *shared, by int) {
	if len(p.order) == 0 {
		return
	}
	p.choose(s, clamp(p.row(s)+by, 0, len(p.order)-1))
}

// choose selects a row.
func (p *services) choose(s *shared, row int) {
	if row < 0 || row >= len(p.order) {
		return
	}
	s.selected, p.hasMoved = s.snapshot.Instances[p.order[row]].Instance, true
}

// row is where the selected instance is.
func (p *services) row(s *shared) int { return max(0, slices.Index(p.order, s.selection())) }

func (p *services) layout(s *shared, cells, height int) {
	p.cells, p.height = cells, height
	p.order = p.order[:0]
	for n := range s.snapshot.Instances {
		p.order = append(p.order, n)
	}
	if len(p.order) > height-1 { // what is wrong must be seen without scrolling
		slices.SortStableFunc(p.order, func(a, b int) int {
			return trouble(&s.snapshot.Instances[a]) - trouble(&s.snapshot.Instances[b])
		})
	}
	if !p.hasMoved || s.selection() < 0 {
		s.selected = blocker(s.snapshot.Instances)
	}
	p.from, p.to = p.window.show(p.row(s), len(p.order), height-1)
}

// trouble orders instances: failed ones, those that are not ready, and then all others.
func trouble(i *status.Status) int {
	switch {
	case i.Failure() != "":
		return 0
	case !i.Ready && i.State != event.Exited:
		return 1
	}
	return 2
}

// blocker is the instance that a person is to look at first: one that has failed, else
// one that others wait for and that waits for nobody, else the first that is not ready.
func blocker(all []status.Status) string {
	best, least := "", 5
	for n := range all {
		i, rank := &all[n], 4
		switch {
		case i.Failure() != "":
			rank = 0
		case i.Ready || i.State == event.Exited:
		case i.HeldFor > 0 && len(i.WaitingOn) == 0:
			rank = 1
		case len(i.WaitingOn) == 0:
			rank = 2
		default:
			rank = 3
		}
		if rank < least {
			best, least = i.Instance, rank
		}
	}
	return best
}

func (p *services) view(s *shared) []string {
	g := grid{columns: []column{
		{},
		{title: "SERVICE", least: 8},
		{title: "STATE", least: 9},
		{title: "PORTS", least: 7, spare: 5},
		{title: "RESTARTS", right: true, spare: 2},
		{title: "WHY NOT READY", rest: true, least: 40},
		{title: "CPU", right: true, spare: 3},
		{title: "MEMORY", right: true, spare: 4},
	}}
	for _, n := range p.order {
		g.rows = append(g.rows, p.cellsOf(s, &s.snapshot.Instances[n]))
	}
	if p.cells < narrow {
		g = narrowed(g)
	}
	lines := g.lines(p.cells-1, p.from, p.to, &s.look)
	at := p.row(s) - p.from + 1
	for n := range lines {
		lines[n] = " " + lines[n]
		if n == at && len(p.order) > 0 {
			lines[n] = p.selectedLine(s, &g, p.row(s))
		}
	}
	return fit(lines, p.cells, p.height)
}

// narrow is a screen on which a state and its reason have no room beside each other.
const narrow = 64

// narrowed has one column for what an instance lacks, else its state.
func narrowed(g grid) grid {
	n := grid{columns: []column{{}, {title: "SERVICE", least: 8}, {title: "STATE", rest: true, least: 16}}}
	for _, row := range g.rows {
		state := row[5]
		if state.text == "" {
			state = row[2]
		}
		n.rows = append(n.rows, []cell{row[0], row[1], state})
	}
	return n
}

// selectedLine is a row on its background; the sign keeps its colour.
func (p *services) selectedLine(s *shared, g *grid, row int) string {
	i := &s.snapshot.Instances[p.order[row]]
	at, widths := g.shown(p.cells - 1)
	text := " " + g.line(g.rows[row], at, widths)
	if !s.color {
		return highlight(text, s.look.selected, p.cells)
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(padded(text, p.cells), " "), s.look.of(i).Render(sign(i)))
	back := s.look.selected
	return back.Render(" ") + s.look.of(i).Inherit(back).Render(sign(i)) + highlight(rest, back, p.cells-2)
}

func (p *services) cellsOf(s *shared, i *status.Status) []cell {
	look := s.look.of(i)
	faint := &s.look.faint
	row := []cell{
		{sign(i), &look},
		{s.title(i.Instance), nil},
		{i.Text(s.now), &look},
		{portsOf(s, i), nil},
		{restarts(i), nil},
		{safe(short(i, s.snapshot.Diagnoses, s.now), false), nil},
		{"", faint},
		{"", faint},
	}
	if use, ok := s.use[i.Instance]; ok && !i.IsOver() {
		row[6].text, row[7].text = percent(use.CPU), bytesText(use.Memory)
	}
	return row
}

func restarts(i *status.Status) string {
	if i.Restarts == 0 {
		return ""
	}
	return strconv.Itoa(i.Restarts)
}

// portsOf are the ports of an instance, published ones as HOST→PORT.
func portsOf(s *shared, i *status.Status) string {
	var shown []string
	told := map[uint16]bool{}
	for _, p := range s.snapshot.Published {
		if p.Instance == i.Instance && p.Protocol == "tcp" {
			told[p.Target] = true
			shown = append(shown, fmt.Sprintf("%d→%s", p.HostPort, i.PortText(p.Target)))
		}
	}
	for _, n := range i.TCPPorts() {
		if !told[n] {
			shown = append(shown, i.PortText(n))
		}
	}
	return strings.Join(shown, " ")
}

// short says in few words why an instance is not ready.
func short(i *status.Status, diagnoses []status.Diagnosis, now time.Time) string {
	var text string
	switch {
	case len(i.WaitingOn) > 0:
		w := i.WaitingOn[0]
		text = fmt.Sprintf("%s for %s: %s", w, status.Span(now.Sub(w.Since)), strings.TrimPrefix(w.Cause, w.String()+" "))
		if more := len(i.WaitingOn) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
	case i.Missing != "":
		text = i.Missing
		if log := i.HealthLog; len(log) > 0 && i.Health == status.Unhealthy {
			text += ": " + strings.TrimSpace(log[len(log)-1].Output)
		}
	case i.Ready || i.State == event.Exited && i.Code == 0:
	default:
		if own := status.ReasonOf(*i, diagnoses).Diagnoses; len(own) > 0 {
			text = strings.TrimPrefix(own[len(own)-1].Message, i.Service+" is ")
		}
	}
	if i.HeldFor == 1 {
		text = joined(text, "1 connect waits for it")
	} else if i.HeldFor > 1 {
		text = joined(text, fmt.Sprintf("%d connects wait for it", i.HeldFor))
	}
	return text
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// percent shows the cores that are kept busy: 100 % is one.
func percent(cores float64) string {
	if cores > 0 && cores < 0.005 {
		return "<1 %"
	}
	return fmt.Sprintf("%.0f %%", 100*cores)
}

// bytesText is an amount of bytes in three digits.
func bytesText(n uint64) string {
	value, units := float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	for value >= 999.5 && len(units) > 1 {
		value, units = value/1000, units[1:]
	}
	if units[0] == "B" || value >= 99.95 {
		return fmt.Sprintf("%.0f %s", value, units[0])
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}
