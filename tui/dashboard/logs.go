package dashboard

import (
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// wheelLines is how far the wheel of a mouse goes.
const wheelLines = 3

// logs are the lines of all services, or of the selected one.
type logs struct {
	cells, height int

	isOfOne bool   // of the selected service alone
	service string // of which they are; "" = all
	filter  string
	search  string
	shown   *index // the lines that are to be seen
	found   *index // those of them with what is searched; nil: nothing is

	follows bool
	anchor  uint64 // else the number of the line at the bottom
	current uint64 // the match that was gone to
	isAt    bool   // current is one
	wraps   bool
	isFull  bool // keys for lists are for the logs
}

func newLogs() *logs {
	p := &logs{follows: true}
	p.reset()
	return p
}

// reset begins to look for what is to be shown anew.
func (p *logs) reset() {
	service, has := p.service, contains(p.filter)
	passes := func(l *logLine) bool { return (service == "" || l.service == service) && has(l.plain) }
	p.shown = newIndex(passes)
	p.lookFor(p.search)
}

// lookFor searches a text.
func (p *logs) lookFor(text string) {
	p.search, p.found, p.isAt = text, nil, false
	if text != "" {
		passes, has := p.shown.matches, contains(text)
		p.found = newIndex(func(l *logLine) bool { return passes(l) && has(l.plain) })
	}
}

func (p *logs) filterBy(text string) {
	p.filter = text
	p.reset()
}

// scan looks at what is new. It asks for another turn where there is much.
func (p *logs) scan(s *shared) tea.Cmd {
	done := p.shown.scan(s.log, scanLines)
	if p.found != nil {
		done = p.found.scan(s.log, scanLines) && done
	}
	if done {
		return nil
	}
	return func() tea.Msg { return scanMsg{} }
}

func (p *logs) update(s *shared, m tea.Msg) (tea.Cmd, bool) {
	press, ok := m.(tea.KeyPressMsg)
	if !ok {
		return nil, false
	}
	page := max(1, p.height-2)
	switch k := s.keys; {
	case p.isFull && key.Matches(press, k.Up):
		p.scroll(-1)
	case p.isFull && key.Matches(press, k.Down):
		p.scroll(1)
	case key.Matches(press, k.PageUp):
		p.scroll(-page)
	case key.Matches(press, k.PageDown):
		p.scroll(page)
	case key.Matches(press, k.Top):
		p.scroll(-len(p.shown.numbers))
	case key.Matches(press, k.Bottom):
		p.follows = true
	case key.Matches(press, k.Follow):
		wasFollowing := p.follows
		p.scroll(0)
		p.follows = !wasFollowing
	case key.Matches(press, k.Wrap):
		p.wraps = !p.wraps
	case key.Matches(press, k.Merged):
		p.isOfOne = !p.isOfOne
	case key.Matches(press, k.Next):
		p.step(1)
	case key.Matches(press, k.Previous):
		p.step(-1)
	default:
		return nil, false
	}
	return nil, true
}

// layout takes the selection over, too.
func (p *logs) layout(s *shared, cells, height int) {
	p.cells, p.height = cells, height
	service := ""
	if p.isOfOne {
		service = s.selectedService()
	}
	if service != p.service {
		p.service = service
		p.reset()
		p.follows = true
	}
}

// bottom is how many of the shown lines are above the lower edge.
func (p *logs) bottom() int {
	if p.follows {
		return len(p.shown.numbers)
	}
	return max(min(p.height-1, len(p.shown.numbers)), p.shown.upTo(p.anchor))
}

// scroll moves by lines. At the newest one it follows.
func (p *logs) scroll(by int) {
	all := p.shown.numbers
	if len(all) == 0 {
		return
	}
	at := clamp(p.bottom()+by, min(p.height-1, len(all)), len(all))
	p.anchor, p.follows = all[max(0, at-1)], at == len(all) && by > 0
}

// step goes to another match: the newest one above the lower edge at first.
func (p *logs) step(by int) {
	if p.found == nil || len(p.found.numbers) == 0 {
		return
	}
	all := p.found.numbers
	n := len(all) - 1
	if p.isAt {
		n = (p.found.upTo(p.current) - 1 + by + len(all)) % len(all)
	} else if bottom := p.bottom(); bottom > 0 {
		n = max(0, p.found.upTo(p.shown.numbers[bottom-1])-1)
	}
	p.current, p.isAt = all[n], true
	p.reveal()
}

// reveal scrolls to the match, so that it is in the middle if it was not to be seen.
func (p *logs) reveal() {
	at, bottom := p.shown.upTo(p.current), p.bottom()
	if at > bottom-(p.height-1) && at <= bottom && !p.wraps {
		p.anchor, p.follows = p.shown.numbers[bottom-1], false
		return
	}
	to := clamp(at+p.height/2, 1, len(p.shown.numbers))
	p.anchor, p.follows = p.shown.numbers[to-1], false
}
