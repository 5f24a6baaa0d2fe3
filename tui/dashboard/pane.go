package dashboard

import (
	tea "charm.land/bubbletea/v2"
)

// pane is a part of the screen. All have this shape.
type pane interface {
	// update takes a key, or what a command of the pane has answered, and tells whether
	// that was for it.
	update(s *shared, m tea.Msg) (cmd tea.Cmd, taken bool)
	// layout says how much room the pane has from now on, and for what.
	layout(s *shared, cells, height int)
	// view draws exactly the room that layout has said.
	view(s *shared) []string
}

// shared is what all panes see.
type shared struct {
	*state
	keys     KeyMap
	look     styles
	color    bool
	isStill  bool   // reduced motion: nothing moves by itself but numbers, once a second
	selected string // an instance
}

// selection is the number of the selected instance, -1 where there is none.
func (s *shared) selection() int {
	for n := range s.snapshot.Instances {
		if s.snapshot.Instances[n].Instance == s.selected {
			return n
		}
	}
	return -1
}

// selectedService is that of the selected instance, "" where there is none.
func (s *shared) selectedService() string {
	if n := s.selection(); n >= 0 {
		return s.snapshot.Instances[n].Service
	}
	return ""
}

// title is the name of an instance to people: that of its service, unless that has
// several.
func (s *shared) title(instance string) string {
	service, count := "", 0
	for n := range s.snapshot.Instances {
		if s.snapshot.Instances[n].Instance == instance {
			service = s.snapshot.Instances[n].Service
		}
	}
	for n := range s.snapshot.Instances {
		if s.snapshot.Instances[n].Service == service {
			count++
		}
	}
	if count == 1 {
		return service
	}
	return instance
}
