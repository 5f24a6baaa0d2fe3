package timeline

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"upall/internal/words"
)

// TextOptions are about the output of Text.
type TextOptions struct {
	Width int // of a line at most; less than 40 counts as 40, and 0 as 80
	Color bool
	ASCII bool // the terminal shows no other characters
}

// narrowest and usual are widths of text.
const (
	narrowest = 40
	usual     = 80
)

// Text is the start for a terminal: a chart, the critical path and the estimate.
func (t *Timeline) Text(o TextOptions) string {
	if o.Width == 0 {
		o.Width = usual
	}
	o.Width = max(narrowest, o.Width)
	var out strings.Builder
	if len(t.Instances) == 0 {
		return "nothing has started\n"
	}
	t.chart(&out, o)
	t.pathText(&out, o)
	if e := t.Estimate; e != nil && t.Path != nil {
		out.WriteString("\n")
		paragraph(&out, e.Summary(t.Path.Total), o)
	}
	for _, note := range t.notes() {
		out.WriteString("\n")
		paragraph(&out, note, o)
	}
	return out.String()
}

// notes are what the chart does not show.
func (t *Timeline) notes() (all []string) {
	late := 0
	for _, i := range t.Instances {
		for _, r := range i.Runs {
			if r.known > t.End {
				late++
			}
		}
	}
	switch {
	case late == 1:
		all = append(all, "1 later start of an instance is not in the chart (--format json and trace have it)")
	case late > 1:
		all = append(all, fmt.Sprintf("%d later starts of instances are not in the chart (--format json and trace have them)", late))
	}
	if t.Lost > 0 {
		all = append(all, fmt.Sprintf("%d events are missing on record", t.Lost))
	}
	return all
}

func (t *Timeline) pathText(out *strings.Builder, o TextOptions) {
	out.WriteString("\n")
	if t.Path == nil {
		out.WriteString("nothing is ready yet\n")
		return
	}
	paragraph(out, t.Path.Summary(), o)
	title := 0
	for _, s := range t.Path.Segments {
		title = max(title, utf8.RuneCountInString(clean(s.title)))
	}
	title = min(title, o.Width/4)
	for _, s := range t.Path.Segments {
		head := fmt.Sprintf("  %9s  %s  ", words.Seconds(s.To-s.From), padded(clean(s.title), title, o))
		room := o.Width - utf8.RuneCountInString(head)
		for n, line := range words.Wrap(clean(s.What), room, o.mark()) {
			if n > 0 {
				head = strings.Repeat(" ", utf8.RuneCountInString(head))
			}
			out.WriteString(head + line + "\n")
		}
	}
}

func paragraph(out *strings.Builder, text string, o TextOptions) {
	for _, line := range words.Wrap(text, o.Width, o.mark()) {
		out.WriteString(line + "\n")
	}
}

// padded returns a text with exactly width characters.
func padded(text string, width int, o TextOptions) string {
	text = shorten(text, width, o)
	return text + strings.Repeat(" ", width-utf8.RuneCountInString(text))
}

// shorten cuts the end of a text that is longer than width characters.
func shorten(text string, width int, o TextOptions) string {
	return words.Shorten(text, width, o.mark())
}

// mark stands for what is cut.
func (o TextOptions) mark() string {
	if o.ASCII {
		return "~"
	}
	return "…"
}
