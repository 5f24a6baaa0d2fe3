package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"
)

// source reads the lines of one instance from its files, the oldest first. What
// is written to the last one meanwhile it gives as well.
type source struct {
	files     []*os.File
	reader    *bufio.Reader // of files[0]
	rest      []byte        // a line that is not whole yet
	next      *LogLine      // read, not taken
	atEnd     bool          // nothing more is looked for in this round
	since     time.Time
	rotations int // of the instance's file, when the last one was opened
}

func newSource(files []*os.File) *source {
	s := &source{reader: bufio.NewReaderSize(nil, 32<<10)}
	s.add(files)
	return s
}

// add goes on with more files after those that there are.
func (s *source) add(files []*os.File) {
	isFirst := len(s.files) == 0
	s.files = append(s.files, files...)
	if isFirst && len(s.files) > 0 {
		s.reader.Reset(s.files[0])
	}
}

func (s *source) close() {
	for _, f := range s.files {
		_ = f.Close() // only read
	}
	s.files = nil
}

// text returns the next whole line, valid until the next call; io.EOF for now.
func (s *source) text() ([]byte, error) {
	for len(s.files) > 0 {
		piece, err := s.reader.ReadSlice('\n')
		if err == nil && len(s.rest) == 0 {
			return piece, nil
		}
		s.rest = append(s.rest, piece...)
		switch {
		case err == nil:
			line := s.rest
			s.rest = nil
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(s.files) == 1:
			return nil, io.EOF
		default: // an error, too: what can be read is given
			_ = s.files[0].Close()
			s.files, s.rest = s.files[1:], nil
			if len(s.files) > 0 {
				s.reader.Reset(s.files[0])
			}
		}
	}
	return nil, io.EOF
}

// peek returns the next line without taking it.
func (s *source) peek() (*LogLine, bool) {
	for s.next == nil {
		if s.atEnd {
			return nil, false
		}
		text, err := s.text()
		if err != nil {
			s.atEnd = true
			return nil, false
		}
		var read wireLine
		if json.Unmarshal(text, &read) != nil || read.Time.Before(s.since) {
			continue // cut by a crash, or too old
		}
		line := read.line()
		s.next = &line
	}
	return s.next, true
}

func (s *source) take() { s.next = nil }

// skipTo leaves the last lines, tail of them.
func (s *source) skipTo(tail int) error {
	total := 0
	for _, f := range s.files {
		n, err := countLines(f)
		if err != nil {
			return err
		}
		total += n
	}
	for range total - tail {
		if _, err := s.text(); err != nil {
			return nil //nolint:nilerr // there are no more
		}
	}
	return nil
}

// countLines does not move the file's offset.
func countLines(f *os.File) (count int, err error) {
	buffer := make([]byte, 64<<10)
	for offset := int64(0); ; {
		n, err := f.ReadAt(buffer, offset)
		count += bytes.Count(buffer[:n], []byte{'\n'})
		offset += int64(n)
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return count, err
		}
	}
}
