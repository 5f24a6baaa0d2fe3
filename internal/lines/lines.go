// Package lines cuts the output of programs into lines.
//
// Use: NewWriter, write to it, Flush at the end; or Read a whole stream.
// Ownership: nothing is opened or started. Promises: a line longer than Max
// comes in pieces; an unfinished last line is not lost. Tests: in the package.
package lines

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Max bounds a line, in bytes.
const Max = 64 << 10

// Read calls line for each line of r, without its end, until r ends.
func Read(r io.Reader, line func(string)) {
	b := bufio.NewReaderSize(r, Max)
	for {
		text, err := b.ReadSlice('\n')
		if len(text) > 0 {
			line(string(bytes.TrimSuffix(text, []byte("\n"))))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// Writer is an io.Writer that calls a function for each line.
type Writer struct {
	line func(string)
	rest []byte
}

// NewWriter returns a Writer.
func NewWriter(line func(string)) *Writer { return &Writer{line: line} }

// Write never fails.
func (w *Writer) Write(p []byte) (int, error) {
	size := len(p)
	for len(p) > 0 {
		piece := p[:min(len(p), Max-len(w.rest))]
		n := bytes.IndexByte(piece, '\n')
		if n >= 0 {
			piece = piece[:n]
		}
		w.rest = append(w.rest, piece...)
		p = p[len(piece):]
		if n >= 0 {
			p = p[1:]
		}
		if n >= 0 || len(w.rest) == Max {
			w.emit()
		}
	}
	return size, nil
}

// Flush tells a last line without an end.
func (w *Writer) Flush() {
	if len(w.rest) > 0 {
		w.emit()
	}
}

func (w *Writer) emit() {
	w.line(string(w.rest))
	w.rest = w.rest[:0]
}
