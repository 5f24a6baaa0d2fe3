package tui

import (
	"fmt"
	"io"
	"strings"

	"upall/internal/event"
	"upall/internal/words"
)

// clockLayout is the time of day of an event: who follows knows the day.
const clockLayout = "15:04:05.000"

// EventPrinter prints every event but the lines of services, each with its time.
// Holds are folded as a Printer does.
type EventPrinter struct {
	printer  *Printer
	wasReady map[string]bool // in this run; by instance
}

// NewEventPrinter returns an EventPrinter that prints to out.
func NewEventPrinter(out io.Writer) *EventPrinter {
	printer := NewPrinter(Options{Out: out, Err: out})
	printer.clock = true
	return &EventPrinter{printer, map[string]bool{}}
}

// Print prints an event. It returns the first error of the writer.
func (p *EventPrinter) Print(e event.Event) error {
	switch e.Type {
	case event.Log:
	case event.StateChanged:
		p.printState(e)
	case event.Started:
		p.say(e, fmt.Sprintf("%s runs%s", e.Instance, withPID(e.PID)))
	case event.Serving:
		p.say(e, fmt.Sprintf("%s serves after %s", e.Instance, words.Seconds(e.Elapsed)))
	case event.Ready:
		p.wasReady[e.Instance] = true
		p.say(e, fmt.Sprintf("%s is ready after %s", e.Instance, words.Seconds(e.Elapsed)))
	case event.Connected:
		p.say(e, fmt.Sprintf("%s connects to %s:%d for the first time", e.Instance, e.Target, e.Port))
	case event.Healthy:
		p.say(e, e.Instance+" is healthy")
	case event.Unhealthy:
		p.say(e, withCause(e.Instance+" is unhealthy", strings.TrimSpace(e.Message)))
	case event.ProjectChanged:
		p.printProject(e)
	case event.Crashed:
		p.say(e, withCause("warning", e.Message))
	default:
		return p.printer.Print(e)
	}
	return p.printer.err
}

// Flush prints what is still folded.
func (p *EventPrinter) Flush() error { return p.printer.Flush() }

func (p *EventPrinter) say(e event.Event, text string) { p.printer.printOwn(e, text) }

func (p *EventPrinter) printState(e event.Event) {
	switch e.State {
	case event.StateReady:
		if p.wasReady[e.Instance] { // else Ready says it
			p.say(e, e.Instance+" is ready again")
		}
	case event.StateWaiting: // the holds say it
	case event.StateListening: // Listening does
	case event.Exited, event.Restarting:
		delete(p.wasReady, e.Instance)
		p.printer.flushHolds(func(k edge) bool { return k.client == e.Instance })
		text := fmt.Sprintf("%s exited with code %d", e.Instance, e.Code)
		if e.State == event.Restarting {
			text = e.Instance + " restarts"
			if !e.At.IsZero() {
				text += " in " + words.Seconds(e.At.Sub(e.Time))
			}
			text += fmt.Sprintf(" (exit %d)", e.Code)
		}
		p.say(e, withCause(text, e.Message))
	case event.Failed:
		p.say(e, withCause(e.Instance+" failed", e.Message))
	default:
		p.say(e, withCause(fmt.Sprintf("%s is %s", e.Instance, e.State), e.Message))
	}
}

func (p *EventPrinter) printProject(e event.Event) {
	text := "the project is " + string(e.State)
	switch e.State {
	case event.Failed:
		text = "the project did not come up"
	case event.StateOver:
		text = fmt.Sprintf("the project is over (code %d)", e.Code)
	}
	p.say(e, withCause(text, e.Message))
}

func withPID(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
