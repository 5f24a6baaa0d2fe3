package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"upall/internal/event"
	"upall/supervisor/status"
)

const (
	// maxSize bounds a record, but for its newest edges: what comes later is counted
	// alone. The start of a run is worth more than its end.
	maxSize = 16 << 20
	// maxQueued is how many lines may wait for the file: one that is slow makes
	// nobody wait.
	maxQueued = 16_384
)

// Writer writes the record of a run. Make one with Create or Continue. Its methods
// may be called by several goroutines.
type Writer struct {
	file  *os.File
	limit int64
	size  int64
	lost  int // lines that found no room in the file
	// warn is called at most once, with what is wrong.
	warn func(message string)
	said bool

	lines   chan Line // full: what comes is dropped
	dropped atomic.Int64
	done    chan struct{} // closed when the goroutine has ended
}

// Create begins the record of a run, and removes the oldest ones of the project.
// warn is called once, with a line for the user, when something cannot be written.
func Create(base string, h Header, warn func(message string)) (*Writer, error) {
	path, err := next(base, h.Project)
	if err != nil {
		return nil, fmt.Errorf("begin a record: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin a record: %w", err)
	}
	h.Format = Format
	w := newWriter(file, 0, warn)
	w.put(Line{Header: &h})
	return w, nil
}

// Continue goes on with the newest record of a project, whose writer was killed.
func Continue(base, project string, warn func(message string)) (*Writer, error) {
	all, err := List(base, project)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("go on with the record of project %q: %w", project, os.ErrNotExist)
	}
	file, err := os.OpenFile(all[0].Path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("go on with a record: %w", err)
	}
	size, err := endLine(file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("go on with a record: %w", err), file.Close())
	}
	return newWriter(file, size, warn), nil
}

// endLine ends a line that a killed writer has left half written, and returns the
// size of the file.
func endLine(file *os.File) (size int64, err error) {
	if size, err = file.Seek(0, io.SeekEnd); err != nil || size == 0 {
		return size, err
	}
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return size, err
	}
	n, err := file.WriteString("\n")
	return size + int64(n), err
}

func newWriter(file *os.File, size int64, warn func(string)) *Writer {
	w := &Writer{
		file: file, size: size, limit: maxSize, warn: warn,
		lines: make(chan Line, maxQueued), done: make(chan struct{}),
	}
	go w.run()
	return w
}

// Path is where the record is.
func (w *Writer) Path() string { return w.file.Name() }

// Event notes an event, unless it is a line of output. It never waits.
func (w *Writer) Event(e event.Event) {
	if w != nil && e.Type != event.Log {
		w.put(Line{Event: &e})
	}
}

// Plan notes what the project is to be from now on. It never waits.
func (w *Writer) Plan(p Plan) {
	if w != nil {
		w.put(Line{Plan: &p})
	}
}

// Edges notes how edges are now. It never waits.
func (w *Writer) Edges(all []status.Edge) {
	if w != nil && len(all) > 0 {
		w.put(Line{Edges: all})
	}
}

func (w *Writer) put(l Line) {
	select {
	case w.lines <- l:
	default:
		w.dropped.Add(1)
	}
}

// Sync waits until what was noted so far is in the file, or lost.
func (w *Writer) Sync() {
	written := make(chan struct{})
	select {
	case w.lines <- Line{written: written}:
	case <-w.done:
		return
	}
	select {
	case <-written:
	case <-w.done:
	}
}

// Close writes what is queued. What is noted later is lost.
func (w *Writer) Close() error {
	if w == nil {
		return nil
	}
	w.lines <- Line{isLast: true}
	<-w.done
	return w.file.Close()
}

func (w *Writer) run() {
	defer close(w.done)
	var buffer bytes.Buffer
	for isLast := false; !isLast; {
		buffer.Reset()
		l := <-w.lines
		w.append(&buffer, l)
		for range len(w.lines) { // one call for what has come meanwhile
			if l.isMark() {
				break
			}
			l = <-w.lines
			w.append(&buffer, l)
		}
		w.flush(&buffer)
		if l.written != nil {
			close(l.written)
		}
		isLast = l.isLast
	}
	if lost := w.lost + int(w.dropped.Load()); lost > 0 {
		buffer.Reset()
		w.limit = w.size + maxSize
		w.append(&buffer, Line{Lost: lost})
		w.flush(&buffer)
	}
}

// append adds a line, if there is room for it. Edges are few, and the newest count.
func (w *Writer) append(to *bytes.Buffer, l Line) {
	if l.isMark() {
		return
	}
	if w.said || w.size+int64(to.Len()) > w.limit && l.Edges == nil || w.size > 2*w.limit {
		w.lost++
		return
	}
	lines := json.NewEncoder(to)
	lines.SetEscapeHTML(false)
	_ = lines.Encode(l) // plain data, into memory
}

// flush writes whole lines. After an error nothing more is written, for half a line
// may be in the file.
func (w *Writer) flush(buffer *bytes.Buffer) {
	if buffer.Len() == 0 || w.said {
		return
	}
	n, err := w.file.Write(buffer.Bytes())
	w.size += int64(n)
	if err != nil {
		w.said = true
		w.warn(fmt.Sprintf("what happens is on record no more, so `upall graph` and `upall timeline` end at %s: %v", time.Now().Format(time.TimeOnly), err))
	}
}
