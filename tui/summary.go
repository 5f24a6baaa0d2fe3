package tui

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"upall/internal/event"
	"upall/internal/words"
)

// summaryWidth is how wide the table may be, in characters.
const summaryWidth = 80

// summaryKey is what one line of the table is about.
type summaryKey struct {
	edge
	way event.Way
	end event.End // "" while the hold is open
}

func (k summaryKey) compare(other summaryKey) int {
	return cmp.Or(k.edge.compare(other.edge), cmp.Compare(k.way, other.way), cmp.Compare(k.end, other.end))
}

// summaryLine is what is said about it.
type summaryLine struct {
	count   int
	longest time.Duration
}

// Summary counts the holds of a run: who waited for what, how often, the longest
// time, how the holds were kept and how they ended. It grows with the number of
// different lines, not of events. Make one with NewSummary.
type Summary struct {
	open  map[uint64]summaryKey
	lines map[summaryKey]summaryLine
}

// NewSummary returns an empty Summary.
func NewSummary() *Summary {
	return &Summary{open: map[uint64]summaryKey{}, lines: map[summaryKey]summaryLine{}}
}

// Add counts an event. Those that are not about a hold are ignored.
func (s *Summary) Add(e event.Event) {
	key := summaryKey{edgeOf(e), e.Way, e.End}
	switch e.Type {
	case event.HoldBegan:
		key.end = ""
		s.open[e.Hold] = key
	case event.HoldEnded:
		delete(s.open, e.Hold)
		l := s.lines[key]
		s.lines[key] = summaryLine{l.count + 1, max(l.longest, e.Elapsed)}
	}
}

// String returns the table, which fits 80 columns; it is empty when there were
// no holds. Holds that have not ended are shown as "waiting", without a time.
func (s *Summary) String() string {
	lines := maps.Clone(s.lines)
	for _, key := range s.open {
		lines[key] = summaryLine{count: lines[key].count + 1}
	}
	if len(lines) == 0 {
		return ""
	}
	return formatSummary(lines)
}

func formatSummary(lines map[summaryKey]summaryLine) string {
	rows := [][6]string{{"CLIENT", "TARGET", "COUNT", "HELD", "HOW", "END"}}
	for _, k := range slices.SortedFunc(maps.Keys(lines), summaryKey.compare) {
		held := words.Seconds(lines[k].longest)
		if k.end == "" {
			held = "-"
		}
		rows = append(rows, [6]string{
			k.client, k.address(), strconv.Itoa(lines[k].count), held, string(k.way), cmp.Or(string(k.end), "waiting"),
		})
	}
	widths := columnWidths(rows)
	var b strings.Builder
	for _, row := range rows {
		row[0], row[1] = shorten(row[0], widths[0]), shortenAddress(row[1], widths[1])
		// Numbers stand to the right, and nothing stands after the last column.
		fmt.Fprintf(&b, "%-*s  %-*s  %*s  %*s  %-*s  %s\n", widths[0], row[0], widths[1], row[1], widths[2], row[2], widths[3], row[3], widths[4], row[4], row[5])
	}
	return b.String()
}

// columnWidths returns the widths of the columns. Where the table would be too
// wide, the two with names give way, the wider one first.
func columnWidths(rows [][6]string) [6]int {
	var widths [6]int
	total := 2 * (len(widths) - 1)
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	for ; total > summaryWidth; total-- {
		if widths[0] > widths[1] {
			widths[0]--
		} else {
			widths[1]--
		}
	}
	return widths
}

// shorten cuts the end of a name.
func shorten(name string, width int) string {
	runes := []rune(name)
	if len(runes) <= width {
		return name
	}
	return string(runes[:max(width-1, 0)]) + "…"
}

// shortenAddress cuts the name and keeps the port.
func shortenAddress(address string, width int) string {
	if utf8.RuneCountInString(address) <= width {
		return address
	}
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return shorten(address, width)
	}
	return shorten(address[:i], width-len(address[i:])) + address[i:]
}
