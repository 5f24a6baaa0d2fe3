package serve

import (
	"bytes"
	"encoding/binary"
)

// The messages, from the PostgreSQL manual, "Frontend/Backend Protocol":
//
//	StartupMessage   int32 length, int32 protocol, {name \0 value \0}, \0
//	ErrorResponse    'E', int32 length, {field byte, text \0}, \0
//	Authentication   'R', int32 length, int32 kind, ...; kind 0 = ok
//	Terminate        'X', int32 length
//
// The server looks at its own state only after it has read a whole
// StartupMessage, so nothing shorter would do. Each refusal is one line in the
// server's log, which cannot be avoided.
const (
	postgresProtocol     = 3 << 16
	postgresMaxError     = 1 << 16 // more than any ErrorResponse at this stage
	postgresCannotAccept = "57P03" // cannot_connect_now
)

func postgres() Probe {
	return Probe{name: "postgres", hello: postgresStartup("postgres", "postgres"), judge: judgePostgres, bye: byePostgres}
}

func postgresStartup(user, database string) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), postgresProtocol)
	for _, s := range []string{"user", user, "database", database} {
		b = append(append(b, s...), 0)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

func judgePostgres(reply []byte, ended bool) verdict {
	switch {
	case len(reply) == 0 && ended:
		return silent
	case len(reply) == 0:
		return undecided
	case reply[0] == 'R' && len(reply) < 9 && !ended:
		return undecided // byePostgres needs the kind
	case reply[0] != 'E' || ended && len(reply) < 5:
		return serving
	case len(reply) < 5:
		return undecided
	}
	size := binary.BigEndian.Uint32(reply[1:]) // counts itself, not the 'E'
	if size < 4 || size > postgresMaxError {
		return serving
	}
	fields := reply[5:]
	isWhole := len(fields) >= int(size)-4
	if isWhole {
		fields = fields[:size-4]
	}
	if postgresCode(fields) == postgresCannotAccept {
		return starting
	}
	if !isWhole && !ended {
		return undecided
	}
	return serving
}

// postgresCode returns the SQLSTATE of an ErrorResponse, "" when it has none.
func postgresCode(fields []byte) string {
	for len(fields) > 0 && fields[0] != 0 {
		text, rest, ok := bytes.Cut(fields[1:], []byte{0})
		if !ok {
			return ""
		}
		if fields[0] == 'C' {
			return string(text)
		}
		fields = rest
	}
	return ""
}

// byePostgres says Terminate to a server that let us in. One that asks for a
// password gets none: there it is a protocol violation and a line in the log,
// while a connection that just ends is neither.
func byePostgres(reply []byte) []byte {
	if len(reply) >= 9 && reply[0] == 'R' && binary.BigEndian.Uint32(reply[5:]) == 0 {
		return []byte{'X', 0, 0, 0, 4}
	}
	return nil
}
