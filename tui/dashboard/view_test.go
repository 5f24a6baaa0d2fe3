package dashboard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"upall/internal/testenv"
	"upall/supervisor/control"
)

// screens are what the goldens show: the keys that lead there from the beginning.
var screens = []struct {
	name, run string
	until     time.Duration
	keys      string
}{
	{"services", "quickstart", waiting, ""},
	{"edges", "quickstart", waiting, "2"},
	{"logs", "quickstart", over, "3 / b e a t enter"},
	{"timeline", "quickstart", waiting, "4"},
	{"graph", "quickstart", over, "5"},
	{"detail", "quickstart", waiting, "enter"},
	{"help", "quickstart", waiting, "?"},
	{"question", "quickstart", waiting, "q"},
	{"failing", "failing", over, ""},
	{"failing-edges", "failing", over, "2 down down"},
	{"failing-detail", "failing", over, "down down down enter"},
}

// Moments of the recorded runs.
const (
	waiting = 6500 * time.Millisecond
	over    = 14 * time.Second
)

func TestViews(t *testing.T) {
	for _, screen := range screens {
		t.Run(screen.name, func(t *testing.T) {
			f := recorded(t, screen.run, screen.until)
			var golden strings.Builder
			for _, size := range [][2]int{{40, 12}, {80, 24}, {120, 40}} {
				for _, look := range []string{"no colour", "dark", "light"} {
					m := f.model(Options{Color: look != "no colour", API: &fake{}})
					m.isDark = look != "light"
					m.look = newStyles(m.isDark, m.color)
					m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
					pressAll(m, screen.keys)
					frame := m.render()
					checkFrame(t, frame, size[0], size[1])
					fmt.Fprintf(&golden, "== %d x %d, %s\n%s\n", size[0], size[1], look, readable(frame))
				}
			}
			testenv.Golden(t, screen.name, golden.String())
		})
	}
}

// checkFrame holds that a frame has its size.
func checkFrame(t *testing.T, frame string, cells, height int) {
	t.Helper()
	lines := strings.Split(frame, "\n")
	if len(lines) != height {
		t.Errorf("%d lines, want %d:\n%s", len(lines), height, ansi.Strip(frame))
	}
	for n, line := range lines {
		if got := ansi.StringWidth(line); got > cells {
			t.Errorf("line %d has %d cells, want at most %d: %q", n+1, got, cells, line)
		}
	}
}

// readable shows escapes and the ends of lines.
func readable(frame string) string {
	return strings.ReplaceAll(strings.ReplaceAll(frame, "\x1b[", "\\e["), "\n", "|\n") + "|"
}

// TestSizes draws every screen in every size, and hears all messages in it.
func TestSizes(t *testing.T) {
	for _, screen := range screens {
		f := recorded(t, screen.run, screen.until)
		for cells := 1; cells <= 132; cells += 7 {
			for height := 1; height <= 50; height += 3 {
				m := f.model(Options{Color: true, API: &fake{}})
				m.Update(tea.WindowSizeMsg{Width: cells, Height: height})
				pressAll(m, screen.keys)
				checkFrame(t, m.render(), cells, height)
			}
		}
	}
}

// TestPure holds that what is drawn twice is the same, and that nothing is drawn
// otherwise because time has passed.
func TestPure(t *testing.T) {
	m := recorded(t, "quickstart", waiting).model(Options{Color: true, API: &fake{}})
	first := m.render()
	if second := m.render(); first != second {
		t.Errorf("drawn again it is another:\n%s\n%s", first, second)
	}
}

// TestNothing draws a project of which nothing is known yet, and one that is empty.
func TestNothing(t *testing.T) {
	m := newModel(Options{Project: "shop", API: &fake{}}, newSource(&fake{}, false), time.Now())
	for _, keys := range []string{"", "2", "3", "4", "5", "enter", "r", "/ x enter n", "p", "?"} {
		pressAll(m, keys)
		checkFrame(t, m.render(), 80, 24)
	}
	m.Update(snapshotMsg{control.Snapshot{Project: "shop"}})
	checkFrame(t, m.render(), 80, 24)
}
