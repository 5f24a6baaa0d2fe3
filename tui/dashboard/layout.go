package dashboard

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"charm.land/lipgloss/v2"
)

// mark stands for what is cut.
const mark = "…"

// width is how many cells a text takes.
func width(text string) int { return ansi.StringWidth(text) }

// cut shortens a text to so many cells.
func cut(text string, cells int) string { return ansi.Truncate(text, max(0, cells), mark) }

// padded is a text with exactly so many cells.
func padded(text string, cells int) string {
	text = cut(text, cells)
	return text + strings.Repeat(" ", max(0, cells-width(text)))
}

// fit makes lines exactly as many as height, each of at most cells.
func fit(lines []string, cells, height int) []string {
	if len(lines) > height {
		lines = lines[:max(0, height)]
	}
	for n := range lines {
		lines[n] = cut(lines[n], cells)
	}
	for len(lines) < height {
		lines = append(lines, "")
	}
	return lines
}

// spread puts one text at the left of a line and one at the right. Where they have no
// room the left one is cut; the right one goes where it would leave nothing.
func spread(left, right string, cells int) string {
	room := cells - width(right) - 1
	if right == "" || room < cells/2 {
		return padded(left, cells)
	}
	return padded(left, room) + " " + right
}

// wrap breaks a text into lines of so many cells.
func wrap(text string, cells int) []string {
	return strings.Split(ansi.Wrap(text, max(1, cells), " "), "\n")
}

// highlight draws a line on the background of what is selected, over its whole width.
// A style within it ends with a reset, which would end the background, too.
func highlight(line string, style lipgloss.Style, cells int) string {
	return style.Render(padded(ansi.Strip(line), cells))
}

// window is the part of a list of count rows that is shown in so many lines, so that
// the row at is in it.
type window struct{ top int }

func (w *window) show(at, count, lines int) (from, to int) {
	w.top = clamp(w.top, at-lines+1, at)
	w.top = clamp(w.top, 0, max(0, count-lines))
	return w.top, min(count, w.top+max(0, lines))
}

func clamp(n, low, high int) int { return max(low, min(n, high)) }
