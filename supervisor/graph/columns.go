package graph

import (
	"strings"
	"unicode/utf8"

	"upall/internal/words"
)

// gap stands between two columns.
const gap = "  "

// wrapsAt is the least room in which text is wrapped beside other columns.
const wrapsAt = 24

// cell is a text and the colour of it, "" for none.
type cell struct {
	text, color string
	keepsEnd    bool // where it is too long it loses its middle
}

func plain(text string) cell { return cell{text: text} }

// layout writes rows of cells below each other, no wider than width; 0 means of any
// width. The last column is wrapped; in the others what is wider than its share is
// cut.
type layout struct {
	width int
	color bool
}

func (l layout) write(out *strings.Builder, rows [][]cell) {
	if len(rows) == 0 {
		return
	}
	widths := l.widths(rows)
	last := len(widths) - 1
	for _, row := range rows {
		indent := 0
		var line strings.Builder
		for n, c := range row[:last] {
			text := c.fit(widths[n])
			line.WriteString(l.paint(text, c.color) + strings.Repeat(" ", widths[n]-utf8.RuneCountInString(text)) + gap)
			indent += widths[n] + len(gap)
		}
		for _, text := range wrap(row[last].text, l.rest(indent)) {
			line.WriteString(l.paint(text, row[last].color))
			out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
			line.Reset()
			line.WriteString(strings.Repeat(" ", indent))
		}
	}
}

// rest is the room that is left of a line, 0 for any.
func (l layout) rest(indent int) int {
	if l.width == 0 {
		return 0
	}
	return max(1, l.width-indent)
}

// widths are those of all columns but the last, which gets the rest.
func (l layout) widths(rows [][]cell) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for n, c := range row {
			widths[n] = max(widths[n], utf8.RuneCountInString(c.text))
		}
	}
	last := len(widths) - 1
	if l.width == 0 || total(widths) <= l.width {
		return widths
	}
	for n, w := range widths[:last] {
		widths[n] = min(w, max(1, l.width*2/5))
	}
	least := min(wrapsAt, widths[last])
	for {
		widest := 0
		for n, w := range widths[:last] {
			if w > widths[widest] {
				widest = n
			}
		}
		if total(widths[:last])+len(gap)+least <= l.width || widths[widest] <= 1 {
			return widths
		}
		widths[widest]--
	}
}

func total(widths []int) int {
	sum := len(gap) * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

func (l layout) paint(text, color string) string {
	if !l.color || color == "" || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// fit returns the text in at most width characters.
func (c cell) fit(width int) string {
	long := []rune(c.text)
	if !c.keepsEnd || len(long) <= width {
		return shorten(c.text, width)
	}
	end := (width - 1) / 2
	return shorten(c.text, width-end) + string(long[len(long)-end:])
}

// shorten cuts the end of a text that is longer than width characters.
func shorten(text string, width int) string { return words.Shorten(text, width, "…") }

// wrap breaks a text into lines of at most width characters, 0 for any.
func wrap(text string, width int) []string {
	if width == 0 {
		return []string{text}
	}
	return words.Wrap(text, width, "…")
}
