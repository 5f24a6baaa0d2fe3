package graph

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/status"
)

// state says how a node fares, "" where nothing is known: "ready (2.9 s)", of several
// instances "2 ready, 1 exited (1)".
func (n *Node) state(runs bool) string {
	if len(n.Instances) == 1 {
		i := n.Instances[0]
		return i.state(runs) + i.after()
	}
	var states []string
	count := map[string]int{}
	for _, i := range n.Instances {
		s := i.state(runs)
		if count[s]++; count[s] == 1 && s != "" {
			states = append(states, s)
		}
	}
	for at, s := range states {
		states[at] = fmt.Sprintf("%d %s", count[s], s)
	}
	return strings.Join(states, ", ")
}

func (i *Instance) state(runs bool) string {
	switch {
	case i.State == event.Exited && i.Stopped:
		return "stopped"
	case i.State == event.Exited:
		return fmt.Sprintf("exited (%d)", i.Code)
	case i.State == "" || i.State == event.Failed:
		return string(i.State)
	case !runs:
		return "was " + string(i.State) // its end is not on record
	case i.Readiness == Failed:
		return "unhealthy"
	case i.State == event.StateWaiting && i.Missing != "":
		return i.Missing
	}
	return string(i.State)
}

// after says when the instance was ready. Of a container the engine may tell late
// that it runs.
func (i *Instance) after() string {
	if i.ReadyAfter < time.Millisecond {
		return ""
	}
	if i.State == event.StateReady {
		return fmt.Sprintf(" (%s)", status.Span(i.ReadyAfter))
	}
	return ", ready after " + status.Span(i.ReadyAfter)
}

// title is the name of a node, with the number of its instances where that is not 1.
func (n *Node) title() string {
	if len(n.Instances) > 1 {
		return fmt.Sprintf("%s x%d", n.Name, len(n.Instances))
	}
	return n.Name
}

// ports are the published ones, as `upall ps` shows them, and then the others.
func (n *Node) ports() string {
	var shown []string
	told := map[string]bool{}
	for _, p := range n.Published {
		shown = append(shown, p.String())
		told[port(p.Target, p.Protocol)] = true
	}
	for _, p := range n.Ports {
		if name := port(p.Number, p.Protocol); !told[name] {
			shown = append(shown, name)
		}
	}
	return strings.Join(shown, ", ")
}

func port(number uint16, protocol string) string { return fmt.Sprintf("%d/%s", number, protocol) }

func (p HostPort) String() string {
	host := "any"
	switch {
	case p.End != 0:
		host = fmt.Sprintf("%d-%d", p.Port, p.End)
	case p.Port != 0:
		host = strconv.Itoa(int(p.Port))
	}
	switch {
	case strings.Contains(p.IP, ":"):
		host = "[" + p.IP + "]:" + host
	case p.IP != "":
		host = p.IP + ":" + host
	}
	return host + "->" + port(p.Target, p.Protocol)
}

// endpoint is the target of an edge with its port.
func (e *Edge) endpoint(target *Node) string {
	name := target.Name
	switch addr, err := netip.ParseAddr(name); {
	case e.Port == 0:
		return name
	case target.Kind == Outside && err == nil && addr.Is6():
		name = "[" + name + "]"
	case target.Kind == Outside && err != nil: // several addresses
		return fmt.Sprintf("%s, port %s", name, e.portName())
	}
	return name + ":" + e.portName()
}

func (e *Edge) portName() string {
	if e.Port == 0 {
		return ""
	}
	return port(e.Port, e.Protocol)
}

// seen says what was observed: "1,204 connects, 3 held up to 2.8 s, 1 refused".
func (e *Edge) seen() string {
	o := e.Observed
	if o == nil {
		return ""
	}
	var parts []string
	switch {
	case o.Count == 1 && o.Held == 1:
		parts = append(parts, "1 connect, held "+status.Span(o.Longest))
	case o.Count == 1:
		parts = append(parts, "1 connect")
	case o.Count > 1:
		parts = append(parts, thousands(o.Count)+" connects")
	}
	if o.Held > 0 && o.Count != 1 {
		parts = append(parts, fmt.Sprintf("%s held up to %s", thousands(o.Held), status.Span(o.Longest)))
	}
	if o.Refused > 0 {
		parts = append(parts, thousands(o.Refused)+" refused")
	}
	switch {
	case o.Waiting == 1:
		parts = append(parts, "1 waits")
	case o.Waiting > 1:
		parts = append(parts, thousands(uint64(o.Waiting))+" wait")
	}
	if len(parts) == 0 {
		return "seen" // and not counted yet
	}
	return strings.Join(parts, ", ")
}

// thousands writes a number as 1,204.
func thousands(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// declaration says by which keys an edge is declared.
func (e *Edge) declaration() string {
	var parts []string
	for _, d := range e.Declared {
		parts = append(parts, keyOf(d))
	}
	return strings.Join(parts, ", ")
}

// keyOf is a key of the file with what it says, in the words of the file.
func keyOf(d compose.Dependency) string {
	var values []string
	if d.Kind == compose.DependsOn {
		if d.Condition != compose.Started {
			values = append(values, string(d.Condition))
		}
		if !d.Required {
			values = append(values, "required: false")
		}
		if d.Restart {
			values = append(values, "restart: true")
		}
	}
	if d.Detail != "" {
		values = append(values, d.Detail)
	}
	if len(values) == 0 {
		return string(d.Kind)
	}
	return fmt.Sprintf("%s (%s)", d.Kind, printable(strings.Join(values, ", ")))
}

// printable makes a text one line without control characters: a path may have any.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
