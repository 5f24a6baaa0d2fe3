package engine

import (
	"bytes"
	"io"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"

	"upall/internal/lines"
)

// Line is a line that a container has written.
type Line struct {
	Service, Instance string
	Stream            string // stdout or stderr; stdout alone with a terminal
	Text              string // without its end
	// At is when the engine has noted it, or, where it keeps no log that can be
	// read, when it was read.
	At time.Time
}

// readStamped tells the lines of a log that the engine has put its times in.
func readStamped(from io.Reader, hasTTY bool, tell func(stream, text string, at time.Time)) error {
	out := &stamped{tell: func(text string, at time.Time) { tell(streamOut, text, at) }}
	if hasTTY {
		w := lines.NewWriter(out.terminalLine)
		_, err := io.Copy(w, from)
		w.Flush()
		return err
	}
	errOut := &stamped{tell: func(text string, at time.Time) { tell(streamErr, text, at) }}
	_, err := stdcopy.StdCopy(out, errOut, from)
	out.flush()
	errOut.flush()
	return err
}

// The streams of a container.
const (
	streamOut = "stdout"
	streamErr = "stderr"
)

// stamped puts the lines of one stream together. The engine notes a line longer
// than 16 KiB in pieces, each with the time of the first.
type stamped struct {
	tell func(text string, at time.Time)
	rest []byte
	at   time.Time // of rest, or of the newest line
}

// Write takes one piece, which is how StdCopy calls it.
func (s *stamped) Write(piece []byte) (int, error) {
	at, text := cutStamp(piece)
	if len(s.rest) > 0 && !at.IsZero() && !at.Equal(s.at) {
		s.flush() // the last line of a run has no end
	}
	if !at.IsZero() {
		s.at = at
	}
	text, hasEnd := bytes.CutSuffix(text, []byte("\n"))
	for room := lines.Max - len(s.rest); len(text) > room; room = lines.Max {
		s.rest = append(s.rest, text[:room]...)
		text = text[room:]
		s.flush()
	}
	s.rest = append(s.rest, text...)
	if hasEnd {
		s.tell(string(s.rest), s.at)
		s.rest = s.rest[:0]
	}
	return len(piece), nil
}

func (s *stamped) flush() {
	if len(s.rest) > 0 {
		s.tell(string(s.rest), s.at)
		s.rest = s.rest[:0]
	}
}

// terminalLine takes a line, or a part of a very long one, of a log in which the
// pieces are not told apart.
func (s *stamped) terminalLine(line string) {
	at, text := cutStamp([]byte(line))
	if !at.IsZero() {
		s.at = at
	}
	if len(text) > pieceLength {
		text = []byte(strings.ReplaceAll(string(text), s.at.UTC().Format(stampLayout)+" ", ""))
	}
	s.tell(string(text), s.at)
}

const (
	stampLayout = "2006-01-02T15:04:05.000000000Z07:00" // all times are as long
	pieceLength = 16 << 10
)

// cutStamp cuts the engine's time off, which is zero if there is none.
func cutStamp(piece []byte) (time.Time, []byte) {
	stamp, text, ok := bytes.Cut(piece, []byte(" "))
	if !ok {
		return time.Time{}, piece
	}
	at, err := time.Parse(stampLayout, string(stamp))
	if err != nil {
		return time.Time{}, piece
	}
	return at, text
}
