package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"upall/internal/event"
)

// Reason is what there is to say of why an instance is not ready, or its connects do
// not go on.
type Reason struct {
	Status    Status
	Diagnoses []Diagnosis // of its connects
	LastLine  string      // of its output, if it has failed and that is known
}

// ReasonOf takes what a View has of an instance.
func ReasonOf(s Status, diagnoses []Diagnosis) Reason {
	r := Reason{Status: s}
	for _, d := range diagnoses {
		if d.Instance == s.Instance {
			r.Diagnoses = append(r.Diagnoses, d)
		}
	}
	return r
}

// Lines say it to a person: how the instance is, what it waits for, and what its
// last refusals were. name is what the person calls it.
func (r *Reason) Lines(name string, now time.Time) (lines []string) {
	s := &r.Status
	for _, w := range s.WaitingOn {
		lines = append(lines, fmt.Sprintf("%s has waited %s for %s: %s", name, Span(now.Sub(w.Since)), w, w.Cause))
	}
	for _, d := range r.Diagnoses {
		isOpen := func(w Wait) bool { return w.Target == d.Target && w.Port == d.Port }
		if d.Kind != event.Localhost && slices.ContainsFunc(s.WaitingOn, isOpen) {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s (%s ago)", d.Message, Span(now.Sub(d.At))))
	}
	if len(lines) == 0 || !s.Ready && len(s.WaitingOn) == 0 {
		lines = slices.Insert(lines, 0, r.state(name, now))
	}
	return lines
}

func (r *Reason) state(name string, now time.Time) string {
	s := &r.Status
	switch {
	case s.Ready:
		return name + " is ready"
	case s.HasFailed() && r.LastLine != "":
		return fmt.Sprintf("%s %s: %s", name, s.ended(now), r.LastLine)
	case s.HasFailed(), s.State == event.Exited:
		return fmt.Sprintf("%s %s", name, s.ended(now))
	case s.State == event.Failed:
		return name + " " + s.Text(now)
	case s.Missing == "":
		return fmt.Sprintf("%s is %s", name, s.Text(now))
	}
	if log := s.HealthLog; len(log) > 0 && s.Health == Unhealthy {
		return fmt.Sprintf("%s %s: %s", name, s.Missing, strings.TrimSpace(log[len(log)-1].Output))
	}
	return fmt.Sprintf("%s %s: %s", name, s.Missing, s.Text(now))
}

// HasFailed tells whether its last run has ended with another code than 0.
func (s *Status) HasFailed() bool {
	return s.Code != 0 && (s.State == event.Exited || s.State == event.Restarting)
}

// ended is how the last run ended.
func (s *Status) ended(now time.Time) string {
	text := fmt.Sprintf("exited with code %d", s.Code)
	if s.Stopped {
		text = "was stopped"
	}
	if !s.ExitedAt.IsZero() {
		text += fmt.Sprintf(" %s ago", Span(now.Sub(s.ExitedAt)))
	}
	if s.State == event.Restarting {
		text += " and restarts"
	}
	return text
}

// IsOver tells whether it does not run, and will not by itself.
func (s *Status) IsOver() bool { return s.State == event.Exited || s.State == event.Failed }

// TCPPorts are those that are declared and those where it listens, sorted.
func (s *Status) TCPPorts() []uint16 {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(s.Declared, s.Ports))))
}

// PortText is a port of the instance itself, in brackets where it is declared and not
// there yet. Who is ready and listens nowhere is not seen.
func (s *Status) PortText(port uint16) string {
	isSeen := !s.Ready || len(s.Ports) > 0
	if isSeen && !s.IsOver() && !slices.Contains(s.Ports, port) && slices.Contains(s.Declared, port) {
		return fmt.Sprintf("(%d)", port)
	}
	return fmt.Sprint(port)
}

// WaitsText says what its connects wait for, for how long and why.
func (s *Status) WaitsText(now time.Time) string {
	var all []string
	for _, w := range s.WaitingOn {
		text := fmt.Sprintf("%s for %s", w, Span(now.Sub(w.Since)))
		if w.Cause != "" {
			text += " (" + w.Cause + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}
