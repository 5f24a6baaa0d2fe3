package serve

import "encoding/binary"

// The server speaks first. A packet is a 3 byte length, a sequence number and
// the payload; the payload of a greeting begins with the protocol version (10),
// that of an error with 0xff and a 2 byte little-endian code (MySQL manual,
// "Connection Phase"; MariaDB is the same).
const (
	mysqlHeader = 4
	mysqlError  = 0xff
)

// Codes of errors with which a server that serves turns a client away: its
// reason is who we are, or how many, so waiting would not help.
const (
	mysqlTooManyConnections = 1040
	mysqlHostIsBlocked      = 1129
	mysqlHostNotPrivileged  = 1130
)

func mysql() Probe {
	return Probe{name: "mysql", judge: judgeMySQL}
}

func judgeMySQL(reply []byte, ended bool) verdict {
	switch {
	case len(reply) <= mysqlHeader && ended:
		return starting // closed without a greeting
	case len(reply) <= mysqlHeader:
		return undecided
	case reply[mysqlHeader] != mysqlError:
		return serving
	case len(reply) < mysqlHeader+3 && ended:
		return starting
	case len(reply) < mysqlHeader+3:
		return undecided
	}
	switch binary.LittleEndian.Uint16(reply[mysqlHeader+1:]) {
	case mysqlTooManyConnections, mysqlHostIsBlocked, mysqlHostNotPrivileged:
		return serving
	}
	return starting
}
