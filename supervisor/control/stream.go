package control

import (
	"encoding/json"
	"io"
	"net/http"
)

// batch is how many events are taken from the Log at once.
const batch = 256

// stream is an answer of JSON values, one a line.
type stream struct {
	w       http.ResponseWriter
	encoder *json.Encoder
	begun   bool
	err     error // the first
}

func newStream(w http.ResponseWriter) *stream {
	return &stream{w: w, encoder: newEncoder(w)}
}

// newEncoder keeps < and > readable, for nobody takes the answer for HTML.
func newEncoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

func (s *stream) begin() {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
		s.w.WriteHeader(http.StatusOK)
	}
}

func (s *stream) write(v any) error {
	s.begin()
	if s.err == nil {
		s.err = s.encoder.Encode(v)
	}
	return s.err
}

// flush sends what was written.
func (s *stream) flush() error {
	s.begin()
	if s.err == nil {
		s.err = http.NewResponseController(s.w).Flush()
	}
	return s.err
}
