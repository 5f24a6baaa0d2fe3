package engine

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// seen is how far the output of a container has been told, for each stream the
// time of its newest line. It is in a file, so that a process that takes over
// goes on from there: a line costs one small write.
type seen struct {
	file *os.File
	at   map[string]time.Time // by stream; empty if nothing is known
}

// The file: the container's ID, then a time for each stream.
const (
	seenSuffix = ".seen"
	idLength   = 64
	timeLength = 8 // nanoseconds since 1970, big-endian
	seenLength = idLength + 2*timeLength
)

var seenOffsets = map[string]int64{streamOut: idLength, streamErr: idLength + timeLength}

// openSeen opens what is known of an instance's container. What is known of an
// earlier container of the instance is forgotten.
func openSeen(directory string, c ref) (*seen, error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(directory, c.instance+seenSuffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &seen{file: file, at: map[string]time.Time{}}
	content := make([]byte, seenLength)
	n, err := file.ReadAt(content, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, file.Close())
	}
	if n < seenLength || string(content[:idLength]) != c.id {
		return s, nil
	}
	for stream, offset := range seenOffsets {
		s.at[stream] = time.Unix(0, int64(binary.BigEndian.Uint64(content[offset:])))
	}
	return s, nil
}

// begin notes that all until a time is told or of no interest.
func (s *seen) begin(c ref, at time.Time) error {
	content := make([]byte, idLength, seenLength)
	copy(content, c.id)
	for stream := range seenOffsets {
		s.at[stream] = at
		content = binary.BigEndian.AppendUint64(content, nanoseconds(at))
	}
	_, err := s.file.WriteAt(content, 0)
	return err
}

// add notes a line that has been told.
func (s *seen) add(stream string, at time.Time) error {
	s.at[stream] = at
	_, err := s.file.WriteAt(binary.BigEndian.AppendUint64(nil, nanoseconds(at)), seenOffsets[stream])
	return err
}

// nanoseconds of a time that is zero, or before 1970, are 0.
func nanoseconds(at time.Time) uint64 {
	if at.Unix() <= 0 {
		return 0
	}
	return uint64(at.UnixNano())
}

// isNew tells whether a line has not been told. It errs for lines of the same
// stream in the same nanosecond.
func (s *seen) isNew(stream string, at time.Time) bool { return at.After(s.at[stream]) }

// since is the time from which on lines may be new: the two streams get their
// times and their places in the log apart from each other.
func (s *seen) since() time.Time {
	newest := s.at[streamOut]
	if s.at[streamErr].After(newest) {
		newest = s.at[streamErr]
	}
	return newest.Add(-overlap)
}

func (s *seen) close() error { return s.file.Close() }
