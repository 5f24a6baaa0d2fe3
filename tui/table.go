package tui

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// gap stands between two columns.
const gap = "  "

// narrowest is what a column that gives way keeps at least.
const narrowest = 8

// Column is one of a Table.
type Column struct {
	Title string
	// Spare says when the column is left out where there is too little room: those
	// with 1 first, then with 2; 0 = never, but for one that says nothing.
	Spare int
	// Nothing is a cell that says nothing, beside the empty one.
	Nothing string
	// Cut says that cells may lose their end.
	Cut bool
}

// Table is text in columns.
type Table struct {
	Columns []Column
	Rows    [][]string // a cell for each column
}

// Format returns the lines of the table, no longer than width characters; 0 means
// of any length. Where there is too little room columns that say nothing are left
// out, then those that can be spared, then the widest give way.
func (t Table) Format(width int) string {
	var lines strings.Builder
	shown := t.fit(width)
	widths := shown.widths()
	if width > 0 {
		shown.narrow(widths, width)
	}
	titles := make([]string, len(shown.Columns))
	for n, c := range shown.Columns {
		titles[n] = c.Title
	}
	for _, row := range append([][]string{titles}, shown.Rows...) {
		var line strings.Builder
		for n, cell := range row {
			cell = shorten(oneLine(cell), widths[n])
			line.WriteString(cell + strings.Repeat(" ", widths[n]-utf8.RuneCountInString(cell)) + gap)
		}
		text := strings.TrimRight(line.String(), " ")
		if width > 0 {
			text = shorten(text, width)
		}
		lines.WriteString(text + "\n")
	}
	return lines.String()
}

// fit leaves out columns until the rest has room, or none can be spared.
func (t Table) fit(width int) Table {
	for spare := -1; width > 0 && spare <= len(t.Columns); spare++ {
		for n := len(t.Columns) - 1; n >= 0 && total(t.widths()) > width; n-- {
			if spare == t.Columns[n].Spare && spare > 0 || spare == -1 && t.saysNothing(n) {
				t = t.without(n)
			}
		}
	}
	return t
}

func (t Table) saysNothing(column int) bool {
	return !slices.ContainsFunc(t.Rows, func(row []string) bool {
		return row[column] != "" && row[column] != t.Columns[column].Nothing
	})
}

func (t Table) without(column int) Table {
	rest := Table{Columns: slices.Delete(slices.Clone(t.Columns), column, column+1)}
	for _, row := range t.Rows {
		rest.Rows = append(rest.Rows, slices.Delete(slices.Clone(row), column, column+1))
	}
	return rest
}

func (t Table) widths() []int {
	widths := make([]int, len(t.Columns))
	for n, c := range t.Columns {
		widths[n] = utf8.RuneCountInString(c.Title)
		for _, row := range t.Rows {
			widths[n] = max(widths[n], utf8.RuneCountInString(row[n]))
		}
	}
	return widths
}

func total(widths []int) int {
	sum := len(gap) * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// narrow takes room from the widest of the columns that may be cut.
func (t Table) narrow(widths []int, width int) {
	for total(widths) > width {
		widest := -1
		for n, c := range t.Columns {
			if c.Cut && widths[n] > max(narrowest, utf8.RuneCountInString(c.Title)) && (widest < 0 || widths[n] > widths[widest]) {
				widest = n
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}
