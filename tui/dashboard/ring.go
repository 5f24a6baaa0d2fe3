package dashboard

import (
	"time"
	"unsafe"
)

// What a ring of lines keeps at most.
const (
	maxLines     = 20_000
	maxLineBytes = 32 << 20
)

// logLine is a line of a service, as it is drawn.
type logLine struct {
	at       time.Time
	service  string
	instance string
	text     string // safe
	plain    string // the same without colours
}

func (l *logLine) size() int {
	n := int(unsafe.Sizeof(*l)) + len(l.text)
	if len(l.plain) != len(l.text) { // else it is the same string
		n += len(l.plain)
	}
	return n
}

// ring keeps the newest lines. Each has a number, from 0 on.
type ring struct {
	lines      []logLine // a circle
	start      int       // where the oldest is
	count      int
	first      uint64 // the number of the oldest
	bytes      int
	maxLines   int
	maxBytes   int
	dropped    uint64 // of those that came, because there was no room
	neverShown uint64 // those that did not even come: they came too fast
}

func newRing(lines, bytes int) *ring { return &ring{maxLines: lines, maxBytes: bytes} }

// next is the number that the next line gets.
func (r *ring) next() uint64 { return r.first + uint64(r.count) } //nolint:gosec // a count

// at returns the line with a number, which is one that is there.
func (r *ring) at(number uint64) *logLine {
	return &r.lines[(r.start+int(number-r.first))%len(r.lines)] //nolint:gosec // less than the count
}

func (r *ring) push(l logLine) {
	for r.count > 0 && (r.count >= r.maxLines || r.bytes+l.size() > r.maxBytes) {
		r.drop()
	}
	if r.count == len(r.lines) {
		r.grow()
	}
	r.lines[(r.start+r.count)%len(r.lines)] = l
	r.count++
	r.bytes += l.size()
}

// grow makes room for as many again.
func (r *ring) grow() {
	more := make([]logLine, min(r.maxLines, max(256, 2*len(r.lines))))
	for n := range r.count {
		more[n] = r.lines[(r.start+n)%len(r.lines)]
	}
	r.lines, r.start = more, 0
}

func (r *ring) drop() {
	oldest := &r.lines[r.start]
	r.bytes -= oldest.size()
	*oldest = logLine{}
	r.start = (r.start + 1) % len(r.lines)
	r.first++
	r.count--
	r.dropped++
}
