package dashboard

import (
	"fmt"
	"slices"
	"strings"
)

func (p *logs) view(s *shared) []string {
	if p.height <= 0 {
		return nil
	}
	title, right := p.titles(s)
	lines := append([]string{s.rule(title, right, p.cells)}, p.body(s)...)
	return fit(lines, p.cells, p.height)
}

// titles say whose lines these are, and which of them.
func (p *logs) titles(s *shared) (left, right string) {
	left = "logs of all services"
	if p.service != "" {
		left = "logs of " + p.service
	}
	if p.filter != "" {
		left += fmt.Sprintf(" with %q", p.filter)
	}
	var parts []string
	if p.search != "" {
		n := 0
		if p.isAt {
			n = p.found.upTo(p.current)
		}
		parts = append(parts, fmt.Sprintf("%q: %d of %d", p.search, n, len(p.found.numbers)))
	}
	if lost := s.log.neverShown; lost > 0 {
		parts = append(parts, fmt.Sprintf("%d missed", lost))
	}
	if p.follows {
		parts = append(parts, "following")
	} else {
		parts = append(parts, fmt.Sprintf("%d newer", len(p.shown.numbers)-p.bottom()))
	}
	return left, strings.Join(parts, ", ")
}

// body draws lines from the lower edge upwards.
func (p *logs) body(s *shared) []string {
	room := p.height - 1
	all := p.shown.numbers
	prefix := p.prefix(s)
	var up []string // the lowest first
	for n := p.bottom() - 1; n >= 0 && len(up) < room; n-- {
		if all[n] < s.log.first {
			break // dropped, and not yet scanned
		}
		rows := p.rows(s, all[n], prefix)
		slices.Reverse(rows)
		up = append(up, rows...)
	}
	up = up[:min(len(up), room)]
	slices.Reverse(up)
	return up
}

// maxPrefix is how wide the names in front of the lines are at most.
const maxPrefix = 16

// prefix is the width of the names, 0 for none.
func (p *logs) prefix(s *shared) int {
	widest, count := 0, 0
	for n := range s.snapshot.Instances {
		i := &s.snapshot.Instances[n]
		if p.service == "" || i.Service == p.service {
			widest = max(widest, width(s.title(i.Instance)))
			count++
		}
	}
	if p.service != "" && count == 1 {
		return 0
	}
	return min(widest, maxPrefix, p.cells/4)
}

// rows are what is drawn of a line.
func (p *logs) rows(s *shared, number uint64, prefix int) []string {
	l := s.log.at(number)
	text := l.text
	if p.found != nil && p.search != "" {
		text = p.marked(s, l, number)
	}
	head, indent := " ", " "
	if prefix > 0 {
		head = " " + s.look.faint.Render(padded(s.title(l.instance), prefix)+" │") + " "
		indent = strings.Repeat(" ", 1+prefix) + s.look.faint.Render(" │") + " "
	}
	room := p.cells - width(head)
	if !p.wraps {
		return []string{head + cut(text, room)}
	}
	rows := wrap(text, room)
	for n := range rows {
		if n == 0 {
			rows[n] = head + rows[n]
		} else {
			rows[n] = indent + rows[n]
		}
	}
	return rows
}

// marked is a line with what is searched marked in it.
func (p *logs) marked(s *shared, l *logLine, number uint64) string {
	line, text := l.plain, p.search
	if strings.ToLower(text) == text {
		line = strings.ToLower(line)
	}
	if len(line) != len(l.plain) || !strings.Contains(line, text) {
		return l.text
	}
	style := s.look.match
	if p.isAt && number == p.current {
		style = s.look.current
	}
	var out strings.Builder
	for at := 0; ; {
		n := strings.Index(line[at:], text)
		if n < 0 {
			out.WriteString(l.plain[at:])
			return out.String()
		}
		out.WriteString(l.plain[at : at+n])
		out.WriteString(style.Render(l.plain[at+n : at+n+len(text)]))
		at += n + len(text)
	}
}

// text is what is shown, to be copied.
func (p *logs) text(s *shared) string {
	var lines []string
	all := p.shown.numbers
	for _, number := range all[max(0, p.bottom()-(p.height-1)):p.bottom()] {
		if number >= s.log.first {
			lines = append(lines, s.log.at(number).plain)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// whole is all that passes the filter, for a pager.
func (p *logs) whole(s *shared) string {
	var out strings.Builder
	prefix := p.prefix(s)
	for _, number := range p.shown.numbers {
		if number < s.log.first {
			continue
		}
		l := s.log.at(number)
		if prefix > 0 {
			out.WriteString(padded(s.title(l.instance), prefix) + " | ")
		}
		out.WriteString(l.text + "\n")
	}
	return out.String()
}
