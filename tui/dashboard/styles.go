package dashboard

import (
	"charm.land/lipgloss/v2"

	"upall/internal/event"
	"upall/supervisor/status"
)

// styles are how things look. Colours say how something fares, and nothing else;
// whatever they say is said in words or signs as well.
type styles struct {
	ready, waiting, failed, faint lipgloss.Style
	title, selected, tab, rule    lipgloss.Style
	match, current                lipgloss.Style // of a search, and the one that was gone to
}

// newStyles returns the styles for a dark or a light terminal.
func newStyles(dark, color bool) styles {
	bold, reverse := lipgloss.NewStyle().Bold(true), lipgloss.NewStyle().Reverse(true)
	if !color {
		plain := lipgloss.NewStyle()
		return styles{
			ready: plain, waiting: plain, failed: bold, faint: plain,
			title: bold, selected: reverse, tab: reverse, rule: plain, match: bold, current: reverse,
		}
	}
	of := func(light, darkOne string) lipgloss.Style {
		if dark {
			light = darkOne
		}
		return lipgloss.NewStyle().Foreground(lipgloss.Color(light))
	}
	background := "254"
	if dark {
		background = "237"
	}
	return styles{
		ready: of("28", "114"), waiting: of("130", "221"), failed: of("160", "203"), faint: of("243", "245"),
		title: bold, selected: lipgloss.NewStyle().Background(lipgloss.Color(background)), tab: reverse, rule: of("250", "239"),
		match: of("130", "221"), current: reverse,
	}
}

// sign shows in one character how an instance fares.
func sign(s *status.Status) string {
	switch {
	case s.Failure() != "":
		return "✗"
	case s.Ready:
		return "●"
	case s.State == event.Exited:
		return "·"
	case s.State == event.StateWaiting:
		return "◌"
	}
	return "○"
}

// of is the style of an instance's state.
func (y *styles) of(s *status.Status) lipgloss.Style {
	switch {
	case s.Failure() != "", s.State == event.Restarting && s.Code != 0:
		return y.failed
	case s.Ready:
		return y.ready
	case s.State == event.Exited:
		return y.faint
	}
	return y.waiting
}
