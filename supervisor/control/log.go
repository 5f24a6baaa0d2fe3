package control

import (
	"context"
	"sync"
	"time"
	"unsafe"

	"upall/internal/event"
)

// What a Log keeps at most.
const (
	maxEvents   = 16_384
	maxLines    = 32_768
	maxLogBytes = 8 << 20 // of the lines, with what they are kept in
)

// Log keeps the newest events of a project, lines of output apart from all
// others, so that a service that writes much hides no event. Whoever reads has a
// Cursor of its own; nobody waits for readers. Make one with NewLog.
type Log struct {
	mu     sync.Mutex // guards what follows
	seq    uint64
	events ring[Record]
	lines  ring[line]
	size   int // of the lines
	// The numbers of the newest that were dropped.
	goneEvent, goneLine uint64

	closed  bool
	changed chan struct{} // closed at the next change; nil while nobody waits
}

// line is a Record of type log.
type line struct {
	seq uint64
	LogLine
}

func (l *line) size() int { return int(unsafe.Sizeof(*l)) + len(l.Message) }

// NewLog returns an empty Log.
func NewLog() *Log { return &Log{} }

// Append adds an event and returns its number, from 1. It never waits for
// readers. What comes after Close is not kept.
func (l *Log) Append(e event.Event) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.seq
	}
	l.seq++
	if e.Type == event.Log {
		l.appendLine(line{l.seq, LogLine{e.Time, e.Service, e.Instance, e.Stream, e.Message}})
	} else {
		l.events.push(Record{l.seq, e})
		if l.events.len() > maxEvents {
			l.goneEvent = l.events.drop().Seq
		}
	}
	l.wake()
	return l.seq
}

func (l *Log) appendLine(n line) {
	l.lines.push(n)
	for l.size += n.size(); l.size > maxLogBytes || l.lines.len() > maxLines; {
		dropped := l.lines.drop()
		l.size -= dropped.size()
		l.goneLine = dropped.seq
	}
}

// Seq is the number of the newest event.
func (l *Log) Seq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seq
}

// Close says that no more comes: who follows gets what there is, then ends.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake()
}

func (l *Log) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Cursor is a place in a Log. It belongs to one goroutine.
type Cursor struct {
	log   *Log
	event uint64 // the next in the ring of events
	line  uint64 // the next in that of lines
	logs  bool
	lost  uint64 // what was dropped before it began
}

// Cursor begins after the event with number since: 0 = at the oldest. With logs it
// gives the lines of services too.
func (l *Log) Cursor(since uint64, logs bool) *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Cursor{log: l, logs: logs}
	c.event = l.events.search(func(r *Record) bool { return r.Seq > since })
	c.line = l.lines.search(func(n *line) bool { return n.seq > since })
	c.lost = missed(since, l.events.first, l.goneEvent)
	if logs {
		c.lost += missed(since, l.lines.first, l.goneLine)
	}
	return c
}

// missed tells how many of count dropped events, the newest of which is gone, came
// after since. Exact where since is 0 or nothing was lost, else at most as many.
func missed(since, count, gone uint64) uint64 {
	if since >= gone {
		return 0
	}
	return min(count, gone-since)
}

// Read appends at most limit events to buffer. Where the reader has fallen
// behind, the first is one of type dropped. more is closed when there is more to
// read; it is nil when there is now, or never will be.
func (c *Cursor) Read(buffer []Record, limit int) (read []Record, more <-chan struct{}) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if lost := c.catchUp(); lost > 0 {
		buffer = append(buffer, Record{c.before(), event.Event{Time: time.Now(), Type: event.Dropped, Count: int(lost)}}) //nolint:gosec // it was counted
	}
	for range limit {
		r, ok := c.next()
		if !ok {
			break
		}
		buffer = append(buffer, r)
	}
	if len(buffer) > 0 || l.closed {
		return buffer, nil
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return buffer, l.changed
}

// catchUp moves the cursor to what is still there and counts what is not.
func (c *Cursor) catchUp() (lost uint64) {
	l := c.log
	lost, c.lost = c.lost, 0
	if c.event < l.events.first {
		lost += l.events.first - c.event
		c.event = l.events.first
	}
	if c.logs && c.line < l.lines.first {
		lost += l.lines.first - c.line
		c.line = l.lines.first
	}
	return lost
}

// before is the number before what comes next.
func (c *Cursor) before() uint64 {
	l := c.log
	seq := l.seq
	if c.event < l.events.next {
		seq = min(seq, l.events.at(c.event).Seq-1)
	}
	if c.logs && c.line < l.lines.next {
		seq = min(seq, l.lines.at(c.line).seq-1)
	}
	return seq
}

// next takes the older of the two rings' next.
func (c *Cursor) next() (Record, bool) {
	l := c.log
	hasEvent, hasLine := c.event < l.events.next, c.logs && c.line < l.lines.next
	switch {
	case hasLine && (!hasEvent || l.lines.at(c.line).seq < l.events.at(c.event).Seq):
		n := l.lines.at(c.line)
		c.line++
		return Record{n.seq, event.Event{
			Time: n.Time, Type: event.Log, Service: n.Service, Instance: n.Instance, Stream: n.Stream, Message: n.Message,
		}}, true
	case hasEvent:
		r := *l.events.at(c.event)
		c.event++
		return r, true
	}
	return Record{}, false
}

// Follow calls yield for each event from the cursor on, until the Log is closed
// and read (nil), the context is over, or yield returns an error.
func (c *Cursor) Follow(ctx context.Context, yield func(Record) error) error {
	var buffer []Record
	for {
		records, more := c.Read(buffer[:0], batch)
		for _, r := range records {
			if err := yield(r); err != nil {
				return err
			}
		}
		buffer = records
		switch {
		case len(records) > 0:
		case more == nil:
			return nil
		default:
			select {
			case <-more:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}
