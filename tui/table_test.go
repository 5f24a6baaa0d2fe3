package tui

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"upall/internal/testenv"
)

func psTable(rows ...[]string) Table {
	return Table{
		Columns: []Column{
			{Title: "NAME", Cut: true},
			{Title: "SERVICE", Spare: 2},
			{Title: "RUNTIME", Spare: 1},
			{Title: "STATE", Cut: true},
			{Title: "PORTS", Cut: true},
			{Title: "RESTARTS", Spare: 3, Nothing: "0"},
			{Title: "WAITING ON", Cut: true},
		},
		Rows: rows,
	}
}

// TestTable shows one table in ever less room.
func TestTable(t *testing.T) {
	table := psTable(
		[]string{"api-1", "api", "process", "waiting", "(8080)", "0", "db:5432 for 3.1 s (job migrate has not completed)"},
		[]string{"db-1", "db", "engine", "listening, not healthy yet", "0.0.0.0:5432->5432/tcp", "2", ""},
		[]string{"web-10", "web", "process", "restarting, again in 3.2 s (exit 1)", "", "0", ""},
	)
	var b strings.Builder
	for _, width := range []int{0, 120, 100, 80, 40, 20} {
		fmt.Fprintf(&b, "%d:\n%s\n", width, table.Format(width))
	}
	testenv.Golden(t, "table", b.String())
}

// What says nothing goes first.
func TestTableLeavesOut(t *testing.T) {
	table := psTable([]string{"api-1", "api", "process", "ready (1.2 s)", "0.0.0.0:8080->8080/tcp, [::]:8080->8080/tcp", "0", ""})
	if got := table.Format(100); strings.Contains(got, "WAITING") || !strings.Contains(got, "RUNTIME") {
		t.Errorf("got\n%s", got)
	}
	if got, want := psTable().Format(0), "NAME  SERVICE  RUNTIME  STATE  PORTS  RESTARTS  WAITING ON\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := psTable([]string{"a\nb", "", "", "", "", "", ""}).Format(0), "a b"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
}

// No line is longer than it may be, whatever is in the table.
func TestTableFits(t *testing.T) {
	for width := 1; width < 130; width++ {
		table := psTable(
			[]string{strings.Repeat("ü", 40), "s", "process", strings.Repeat("x", 50), "", "0", strings.Repeat("y", 90)},
			[]string{"a", "b", "engine", "", "", "1", ""},
		)
		for line := range strings.SplitSeq(table.Format(width), "\n") {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("%d characters where %d fit: %q", n, width, line)
			}
		}
	}
}
