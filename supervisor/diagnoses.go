package supervisor

import (
	"strings"
	"time"

	"upall/internal/event"
)

const (
	// lineDelay is how long a diagnosis waits for the last line of the service that
	// it is about: what a program has written last may come after its end.
	lineDelay = 300 * time.Millisecond
	// maxDetail bounds what is quoted, in bytes.
	maxDetail = 300
)

// diagnoses are completed with what services have written. They are guarded by the
// board's mutex.
type diagnoses struct {
	lines   map[string]string // the last of each service
	waiting []event.Event     // for lines
}

// wrote notes the last line of a service.
func (d *diagnoses) wrote(e event.Event) {
	if strings.TrimSpace(e.Message) == "" {
		return
	}
	if d.lines == nil {
		d.lines = map[string]string{}
	}
	d.lines[e.Service] = e.Message
}

// diagnose adds to a diagnosis what is known beside it, and tells it, or has it wait
// for a line. It is called with mu held.
func (b *board) diagnose(e event.Event) {
	switch e.Kind {
	case event.HasExited, event.IsRestarting, event.JobFailed:
		b.waiting = append(b.waiting, e)
	default:
		b.tellDiagnosis(e, b.tracker.Detail(e))
	}
}

// tellDiagnoses tells of those that have waited until now. It is called with mu held.
func (b *board) tellDiagnoses(now time.Time) {
	for len(b.waiting) > 0 && now.Sub(b.waiting[0].Time) >= lineDelay {
		e := b.waiting[0]
		b.waiting = b.waiting[1:]
		b.tellDiagnosis(e, b.lines[e.About])
	}
}

func (b *board) tellDiagnosis(e event.Event, detail string) {
	if detail = shorten(detail); detail != "" {
		e.Cause += ": " + detail
		e.Message += ": " + detail
	}
	b.add(e)
}

// shorten keeps the last line of a text, and of that no more than a person reads.
func shorten(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 {
		return ""
	}
	last := strings.TrimSpace(lines[len(lines)-1])
	if len(last) > maxDetail {
		last = strings.ToValidUTF8(last[:maxDetail], "") + "..."
	}
	return last
}
