// Package tui is what upall shows on a terminal: the lines of the services'
// logs and of upall itself, and the table of holds at the end.
//
// Use: NewPrinter, then Print for each event in the order of its emission and
// Flush at the end; Summary makes the table; UseColor decides on colours.
// Ownership: the package starts no goroutine and opens nothing; the writers
// stay their owner's. A Printer is used by one goroutine.
// Promises: each line is one Write; a service's text passes unchanged; the
// output depends on the options and the events alone, never on the clock or
// the environment. Errors are those of the writers.
// Tests: goldens in testdata, renewed with -update.
package tui

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"upall/internal/event"
	"upall/internal/words"
)

// ownName is the prefix of upall's own lines.
const ownName = "upall"

// timeLayout is RFC 3339 with all nanoseconds, as "docker compose logs
// --timestamps" has it: lines stay aligned.
const timeLayout = "2006-01-02T15:04:05.000000000Z07:00"

// Options say how a Printer prints.
type Options struct {
	Out        io.Writer // stdout of the services, and how they exited
	Err        io.Writer // stderr of the services, and upall's own lines
	Color      bool      // colour the prefixes; see UseColor
	Prefix     bool      // the instance before each line of its log
	Timestamps bool      // the time of the event before each text
	Instances  []string  // names of all instances; they set width and colours
	// Attach reports whether the logs of a service are shown; nil = all are.
	Attach func(service string) bool
}

// Printer prints events as "docker compose up" does.
type Printer struct {
	options   Options
	width     int               // of the longest prefix
	colors    map[string]string // by instance
	holds     map[edge]*foldedHolds
	edges     map[uint64]edge // by open hold: it may end at another target than it began for
	diagnosed map[told]bool
	hasEnded  map[string]bool // instances that exited and were not yet started again
	serves    map[string]bool // instances that serve, in this run of theirs
	clock     bool            // upall's own lines begin with the time of day and have no prefix
	err       error           // the first of a writer
}

// NewPrinter returns a Printer.
func NewPrinter(options Options) *Printer {
	p := &Printer{
		options:   options,
		width:     len(ownName),
		colors:    map[string]string{},
		holds:     map[edge]*foldedHolds{},
		edges:     map[uint64]edge{},
		diagnosed: map[told]bool{},
		hasEnded:  map[string]bool{},
		serves:    map[string]bool{},
	}
	names := slices.Sorted(slices.Values(options.Instances))
	for _, name := range slices.Compact(names) {
		p.width = max(p.width, len(name))
		p.colorOf(name)
	}
	return p
}

// Print prints what an event says to a person, which may be nothing. It returns
// the first error of a writer; there is nothing to print after that.
func (p *Printer) Print(e event.Event) error {
	switch e.Type {
	case event.Log:
		p.printLog(e)
	case event.StateChanged:
		p.printState(e)
	case event.Listening:
		p.printOwn(e, fmt.Sprintf("%s listens on port %d", e.Instance, e.Port))
	case event.Serving:
		p.serves[e.Instance] = true
	case event.Ready:
		p.printReady(e)
	case event.HoldBegan:
		p.beginHold(e)
	case event.HoldEnded:
		p.endHold(e)
	case event.Diagnosed:
		p.printDiagnosis(e)
	case event.CycleFound:
		p.printOwn(e, withCause(strings.Join(e.Members, ", ")+" wait for each other", e.Message))
	case event.Notice:
		p.printOwn(e, e.Message)
	case event.Warning:
		p.printOwn(e, "warning: "+withCause(e.Service, e.Message))
	case event.Crashed:
		p.printOwn(e, "warning: "+e.Message)
	case event.Dropped:
		p.printOwn(e, fmt.Sprintf("warning: %d lines or events are missing here: they came faster than they could be shown", e.Count))
	}
	return p.err
}

// Flush prints what is still folded. The Printer may be used further.
func (p *Printer) Flush() error {
	p.flushHolds(func(edge) bool { return true })
	return p.err
}

func (p *Printer) printLog(e event.Event) {
	if p.options.Attach != nil && !p.options.Attach(e.Service) {
		return
	}
	w := p.options.Out
	if e.Stream == "stderr" {
		w = p.options.Err
	}
	head := p.stamp(e)
	if p.options.Prefix {
		head = p.prefix(e.Instance, p.colorOf(e.Instance)) + head
	}
	for line := range strings.SplitSeq(e.Message, "\n") {
		p.write(w, head+keepHead(line, head)+"\n")
	}
}

// keepHead repeats head after each carriage return that has text behind it: the
// terminal would write that text over the head. The bytes of the line itself
// are kept.
func keepHead(line, head string) string {
	body := strings.TrimRight(line, "\r")
	return strings.ReplaceAll(body, "\r", "\r"+head) + line[len(body):]
}

// printReady says nothing of who serves nobody: it is ready because time has
// passed.
func (p *Printer) printReady(e event.Event) {
	if p.serves[e.Instance] {
		p.printOwn(e, fmt.Sprintf("%s is ready after %s", e.Instance, words.Seconds(e.Elapsed)))
	}
}

func (p *Printer) printState(e event.Event) {
	hadEnded := p.hasEnded[e.Instance]
	delete(p.hasEnded, e.Instance)
	switch e.State {
	case event.Exited:
		delete(p.serves, e.Instance)
		p.hasEnded[e.Instance] = true
		p.flushHolds(func(k edge) bool { return k.client == e.Instance })
		p.printStatus(e, fmt.Sprintf("exited with code %d", e.Code))
	case event.Restarting:
		delete(p.serves, e.Instance)
		if hadEnded {
			p.printStatus(e, "(restarting)")
		} else {
			p.printStatus(e, fmt.Sprintf("exited with code %d (restarting)", e.Code))
		}
	case event.Failed:
		p.printOwn(e, withCause(e.Instance+" failed", e.Message))
	}
}

// printStatus prints a line about an instance that stands in its log's place,
// coloured as a whole like Compose's.
func (p *Printer) printStatus(e event.Event, text string) {
	text = e.Instance + " " + text
	if e.Message != "" {
		text += ": " + oneLine(e.Message)
	}
	p.write(p.options.Out, p.paint(text, p.colorOf(e.Instance))+"\n")
}

// printOwn prints a line of upall's own. It has its prefix always: without, it
// could be taken for a service's.
func (p *Printer) printOwn(e event.Event, text string) {
	if p.clock {
		p.write(p.options.Err, e.Time.Format(clockLayout)+"  "+oneLine(text)+"\n")
		return
	}
	p.write(p.options.Err, p.prefix(ownName, ownColor)+p.stamp(e)+oneLine(text)+"\n")
}

func (p *Printer) prefix(name, color string) string {
	width := p.width
	if !p.options.Prefix {
		width = len(name)
	}
	return p.paint(fmt.Sprintf("%-*s | ", width+1, name), color)
}

func (p *Printer) stamp(e event.Event) string {
	if !p.options.Timestamps {
		return ""
	}
	return e.Time.Format(timeLayout) + " "
}

func (p *Printer) write(w io.Writer, line string) {
	if p.err != nil {
		return
	}
	if _, err := io.WriteString(w, line); err != nil {
		p.err = fmt.Errorf("print a line: %w", err)
	}
}

// withCause joins a fact and what explains it; either may be empty.
func withCause(fact, cause string) string {
	if fact == "" || cause == "" {
		return fact + cause
	}
	return fact + ": " + cause
}

// oneLine keeps a text of upall's own on one line.
func oneLine(text string) string {
	return strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(text)
}
