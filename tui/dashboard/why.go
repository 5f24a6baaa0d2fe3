package dashboard

import (
	"fmt"
	"slices"
	"strings"

	"upall/supervisor/status"
)

// why are lines that say of the selected instance why it is not ready.
func (s *shared) why() []string {
	n := s.selection()
	if n < 0 {
		return nil
	}
	i := &s.snapshot.Instances[n]
	reason := status.ReasonOf(*i, s.snapshot.Diagnoses)
	if i.HasFailed() {
		reason.LastLine = s.last[i.Instance]
	}
	lines := reason.Lines(s.title(i.Instance), s.now)
	if clients := s.clientsOf(i.Service); len(clients) > 0 && !i.Ready {
		lines = append(lines, "for it wait: "+strings.Join(clients, ", "))
	}
	return lines
}

// clientsOf are the instances whose connects wait for a service.
func (s *shared) clientsOf(service string) (names []string) {
	for n := range s.snapshot.Instances {
		i := &s.snapshot.Instances[n]
		if slices.ContainsFunc(i.WaitingOn, func(w status.Wait) bool { return w.Target == service }) {
			names = append(names, s.title(i.Instance))
		}
	}
	return names
}

// whyTitle says what the lines are about.
func (s *shared) whyTitle() string {
	n := s.selection()
	switch {
	case n < 0:
		return ""
	case s.snapshot.Instances[n].Failure() != "":
		return fmt.Sprintf("why %s has failed", s.title(s.selected))
	case s.snapshot.Instances[n].Ready:
		return s.title(s.selected)
	}
	return fmt.Sprintf("why %s is not ready", s.title(s.selected))
}

// rule is a line with a title in it, and words at its right.
func (s *shared) rule(title, right string, cells int) string {
	if right != "" {
		right = " " + right + " "
	}
	title = cut(title, max(0, cells-width(right)-5))
	room := max(0, cells-width(title)-width(right)-5)
	return s.look.rule.Render("──") + " " + s.look.title.Render(title) + " " + s.look.rule.Render(strings.Repeat("─", room)) + right + s.look.rule.Render("─")
}
