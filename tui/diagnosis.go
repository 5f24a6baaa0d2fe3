package tui

import "upall/internal/event"

// told is a diagnosis that was printed.
type told struct {
	service, target string
	port            uint16
	kind            event.Kind
}

// printDiagnosis prints a diagnosis once for a service, unless the line of a refusal
// or of a cycle has said as much. What time may mend the line of the hold has said.
func (p *Printer) printDiagnosis(e event.Event) {
	k := told{e.Service, e.Target, e.Port, e.Kind}
	h := p.holds[edgeOf(e)]
	wasSaid := h != nil && h.wasRefused && h.refusalCause == e.Cause
	if p.diagnosed[k] || e.Kind.MayPass() || e.Kind == event.InCycle || wasSaid {
		return
	}
	p.diagnosed[k] = true
	p.printOwn(e, e.Message)
}
