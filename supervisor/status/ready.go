package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"upall/internal/event"
)

// lack is what an instance lacks to be ready. The text of it is made when
// somebody looks, for a client may have thousands of holds.
type lack int

const (
	nothing lack = iota
	itsStart
	itsTarget // its connects are held
	itsPorts
	itsListener
	itsHealth
	itsEnd
	calm
)

// missing says what the instance lacks at now.
func (i *instance) missing(now time.Time) lack {
	declares := i.sees && len(i.Declared) > 0
	switch {
	case i.told == event.Exited || i.told == event.Failed:
		return nothing
	case !i.runs():
		return itsStart
	case !i.Serving && len(i.holds) > 0:
		return itsTarget
	case declares && !i.Serving:
		return itsPorts
	case i.HealthDecides && (i.Health == Unhealthy || i.Health == Checking):
		return itsHealth
	case i.Job:
		return itsEnd
	case i.Serving || now.Sub(i.calmSince) >= i.quiet():
		return nothing
	case i.quiet() == quietServer:
		return itsListener // a check within the container may pass before
	case i.HealthDecides && i.Health == Healthy:
		return nothing
	}
	return calm
}

// missingText says it to a person.
func (i *instance) missingText(waits []Wait) string {
	switch i.lacks {
	case itsStart:
		return i.missingStart()
	case itsTarget:
		if len(waits) > 0 {
			return "waits for " + waits[0].String()
		}
	case itsPorts:
		return i.missingPorts()
	case itsListener:
		return "does not listen yet"
	case itsHealth:
		if i.Health == Unhealthy {
			return "is unhealthy"
		}
		return "is not healthy yet"
	case itsEnd:
		return "has not completed"
	case calm:
		return "has just started"
	}
	return ""
}

func (i *instance) missingStart() string {
	switch i.told {
	case event.Restarting:
		return i.end() + " and restarts"
	case event.StateStopping:
		return "is stopping"
	}
	return "has not started"
}

func (i *instance) missingPorts() string {
	var missing []string
	for _, p := range i.Declared {
		if !slices.Contains(i.Ports, p) {
			missing = append(missing, fmt.Sprint(p))
		}
	}
	switch len(missing) {
	case 0:
		return "does not serve yet"
	case 1:
		return "does not listen on port " + missing[0] + " yet"
	}
	return "does not listen on ports " + strings.Join(missing, ", ") + " yet"
}

// end says how the last run ended.
func (s *Status) end() string {
	switch {
	case s.Message != "":
		return s.Message
	case s.State == event.Failed:
		return "was not started"
	}
	return fmt.Sprintf("exited with code %d", s.Code)
}

// Waiting decides whether what waits for all of these instances is done: each
// is ready, or has ended with 0. failed is the first that has ended otherwise or
// is unhealthy, and Failure says how; waiting says of each other one what it lacks.
func Waiting(all []Status) (done bool, failed *Status, waiting []string) {
	for n := range all {
		s := &all[n]
		isOver := s.State == event.Exited || s.State == event.Failed
		switch {
		case s.Failure() != "":
			if failed == nil || s.failedBefore(failed) {
				failed = s
			}
		case !isOver && !s.Ready:
			waiting = append(waiting, s.Instance+" "+s.Missing)
		}
	}
	if failed != nil {
		return false, failed, nil
	}
	return len(waiting) == 0, nil, waiting
}

// failedBefore tells whether the failure of s may have caused that of other: who is
// unhealthy runs, who was not started waited for somebody.
func (s *Status) failedBefore(other *Status) bool {
	rank := func(s *Status) int {
		switch s.State {
		case event.Failed:
			return 2
		case event.Exited:
			return 1
		}
		return 0
	}
	if a, b := rank(s), rank(other); a != b {
		return a < b
	}
	return s.ExitedAt.Before(other.ExitedAt)
}

// Failure says why the instance will not be ready: "api-1 exited with code 3".
// Empty where nothing keeps it from that.
func (s *Status) Failure() string {
	switch {
	case s.State == event.Failed, s.State == event.Exited && s.Code != 0:
		return s.Instance + " " + s.end()
	case s.HealthDecides && s.Health == Unhealthy:
		return s.Instance + " is unhealthy"
	}
	return ""
}

// Started tells whether each of these instances has been started, or will not be.
func Started(all []Status) bool {
	return !slices.ContainsFunc(all, func(s Status) bool {
		return s.Started.IsZero() && s.State != event.Exited && s.State != event.Failed
	})
}
