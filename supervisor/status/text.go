package status

import (
	"fmt"
	"time"

	"upall/internal/event"
)

// Text says to a person how the instance fares: "ready (1.2 s)", "restarting,
// again in 3.2 s (exit 1)", "exited (0) 5 s ago".
func (s *Status) Text(now time.Time) string {
	switch s.State {
	case event.StateReady:
		if s.ReadyAfter < time.Millisecond { // of a container the engine tells late that it runs
			return "ready"
		}
		return fmt.Sprintf("ready (%s)", Span(s.ReadyAfter))
	case event.StateListening:
		return "listening, " + s.unready()
	case event.Starting, event.StateWaiting:
		return s.starting(now)
	case event.Restarting:
		again := ""
		if left := s.RestartAt.Sub(now); left > 0 {
			again = ", again in " + Span(left)
		}
		return fmt.Sprintf("restarting%s (%s)", again, s.exit())
	case event.Exited:
		if s.Stopped {
			return "stopped" + ago(s.ExitedAt, now)
		}
		return fmt.Sprintf("exited (%d)%s", s.Code, ago(s.ExitedAt, now))
	case event.Failed:
		if s.Message != "" {
			return "failed: " + s.Message
		}
		return "failed"
	}
	return string(s.State)
}

// unready is what one that listens lacks.
func (s *Status) unready() string {
	switch {
	case s.HealthDecides && s.Health == Unhealthy:
		return "unhealthy"
	case s.HealthDecides && s.Health == Checking && (s.Serving || len(s.Declared) == 0):
		return "not healthy yet"
	}
	return "not ready yet"
}

func (s *Status) starting(now time.Time) string {
	switch {
	case s.State == event.StateWaiting:
		return "waiting"
	case s.Started.IsZero():
		return "starting"
	case s.HealthDecides && s.Health == Unhealthy:
		return "unhealthy"
	case s.Job:
		return fmt.Sprintf("running (%s)", Span(now.Sub(s.Started)))
	}
	return fmt.Sprintf("starting (%s)", Span(now.Sub(s.Started)))
}

// exit is how the last run ended, in few words.
func (s *Status) exit() string {
	if s.Message != "" {
		return s.Message
	}
	return fmt.Sprintf("exit %d", s.Code)
}

func ago(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	return fmt.Sprintf(" %s ago", Span(now.Sub(at)))
}

// Span is a time for a person who looks at how things stand: 40 ms, 1.2 s, 3 min,
// 5 h, 2 days.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
