package dashboard

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// gap stands between two columns.
const gap = "  "

// column is one of a grid.
type column struct {
	title string
	right bool // numbers stand to the right
	// spare says which columns are left out first where there is too little room: 1,
	// then 2 and so on; 0 = never.
	spare int
	least int // what the column keeps when it gives way; 0: it does not
	// rest: it gets what is left. Others are left out until that is as much as least.
	rest bool
}

// cell is a text in a grid.
type cell struct {
	text  string
	style *lipgloss.Style // nil = none
}

// grid is text in columns. Those without any text are left out.
type grid struct {
	columns []column
	rows    [][]cell
}

// shown are the numbers of the columns that have room, with their widths.
func (g *grid) shown(cells int) (at, widths []int) {
	for n, c := range g.columns {
		wide := 0
		for _, row := range g.rows {
			wide = max(wide, width(row[n].text))
		}
		if wide > 0 || c.rest {
			at, widths = append(at, n), append(widths, max(wide, width(c.title)))
		}
	}
	for spare := 1; spare <= len(g.columns); spare++ {
		for k := len(at) - 1; k >= 0 && g.needs(at, widths) > cells; k-- {
			if g.columns[at[k]].spare == spare {
				at, widths = append(at[:k:k], at[k+1:]...), append(widths[:k:k], widths[k+1:]...)
			}
		}
	}
	g.narrow(at, widths, cells)
	return at, widths
}

func (g *grid) needs(at, widths []int) int {
	sum := len(gap) * (len(at) - 1)
	for k, n := range at {
		if g.columns[n].rest {
			sum += min(widths[k], g.columns[n].least)
		} else {
			sum += widths[k]
		}
	}
	return sum
}

// narrow takes from those that give way, the widest first, and gives the rest to the
// column that gets it.
func (g *grid) narrow(at, widths []int, cells int) {
	for g.needs(at, widths) > cells {
		widest := -1
		for k, n := range at {
			if c := g.columns[n]; !c.rest && c.least > 0 && widths[k] > c.least && (widest < 0 || widths[k] > widths[widest]) {
				widest = k
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	for k, n := range at {
		if g.columns[n].rest {
			widths[k] = max(0, cells-(g.needs(at, widths)-min(widths[k], g.columns[n].least)))
		}
	}
}

// lines draws the titles and then the rows from one to another.
func (g *grid) lines(cells, from, to int, y *styles) []string {
	at, widths := g.shown(cells)
	titles := make([]cell, len(g.columns))
	for n, c := range g.columns {
		titles[n] = cell{c.title, &y.faint}
	}
	all := make([]string, 0, to-from+1)
	all = append(all, g.line(titles, at, widths))
	for _, row := range g.rows[from:to] {
		all = append(all, g.line(row, at, widths))
	}
	return all
}

func (g *grid) line(row []cell, at, widths []int) string {
	var out strings.Builder
	for k, n := range at {
		if k > 0 {
			out.WriteString(gap)
		}
		text := cut(row[n].text, widths[k])
		room := strings.Repeat(" ", widths[k]-width(text))
		if row[n].style != nil && text != "" {
			text = row[n].style.Render(text)
		}
		if g.columns[n].right {
			text = room + text
		} else if k < len(at)-1 {
			text += room
		}
		out.WriteString(text)
	}
	return out.String()
}
