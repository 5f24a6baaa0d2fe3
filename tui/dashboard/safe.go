package dashboard

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// maxLine is how much of one line is kept, in bytes.
const maxLine = 16 << 10

// tabStop is how far apart a terminal has its tab stops.
const tabStop = 8

const escape = '\x1b'

// safe makes a line of a service fit to be drawn: of control sequences only colours
// are left, where keepColors says so. A line that was written over by means of a
// carriage return is what was there at its end.
func safe(text string, keepColors bool) string {
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + "…"
	}
	if isPlain(text) {
		return text
	}
	text = strings.TrimRight(text, "\r\n")
	if n := strings.LastIndexByte(text, '\r'); n >= 0 {
		text = text[n+1:]
	}
	var out strings.Builder
	width, isColored := 0, false
	for len(text) > 0 {
		if n := sequenceLength(text); n > 0 {
			if keepColors && isColor(text[:n]) {
				out.WriteString(text[:n])
				isColored = true
			}
			text = text[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(text)
		text = text[n:]
		switch {
		case r == '\t':
			room := tabStop - width%tabStop
			out.WriteString(strings.Repeat(" ", room))
			width += room
		case isDrawable(r):
			out.WriteRune(r)
			width += ansi.StringWidth(string(r))
		}
	}
	if isColored {
		out.WriteString(ansi.ResetStyle)
	}
	return out.String()
}

// isPlain tells whether a text is printable ASCII alone, as most lines are.
func isPlain(text string) bool {
	for n := range len(text) {
		if text[n] < ' ' || text[n] > '~' {
			return false
		}
	}
	return true
}

// isDrawable tells whether a character may be drawn: controls are none, nor what
// turns the direction of the text around it.
func isDrawable(r rune) bool {
	return !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r)
}

// sequenceLength is the length of the control sequence that a text begins with, 0 if
// it begins with none. ECMA-48, 5.3 to 5.6; one that does not end takes all that
// follows, as in a terminal.
func sequenceLength(text string) int {
	if text[0] != escape {
		return c1Length(text)
	}
	if len(text) == 1 {
		return 1
	}
	switch text[1] {
	case '[':
		return 2 + controlLength(text[2:])
	case ']', 'P', 'X', '^', '_':
		return 2 + stringLength(text[2:])
	}
	n := 1
	for n < len(text) && text[n] >= 0x20 && text[n] <= 0x2f {
		n++
	}
	if n < len(text) && text[n] < utf8.RuneSelf {
		n++
	}
	return n
}

// c1Length is the same for sequences that begin with one character above ASCII.
func c1Length(text string) int {
	const control, device, start, command, privacy, application = '\u009b', '\u0090', '\u0098', '\u009d', '\u009e', '\u009f'
	r, n := utf8.DecodeRuneInString(text)
	switch r {
	case control:
		return n + controlLength(text[n:])
	case device, start, command, privacy, application:
		return n + stringLength(text[n:])
	}
	return 0
}

// controlLength is the length of a control sequence's parameters and its final byte.
func controlLength(text string) int {
	for n := range len(text) {
		switch {
		case text[n] >= 0x40 && text[n] <= 0x7e:
			return n + 1
		case text[n] < 0x20 || text[n] > 0x3f:
			return n // broken off
		}
	}
	return len(text)
}

// stringLength is the length of a control string with its end: BEL or ST.
func stringLength(text string) int {
	for n := range len(text) {
		switch {
		case text[n] == '\a':
			return n + 1
		case strings.HasPrefix(text[n:], "\x1b\\"), strings.HasPrefix(text[n:], "\u009c"):
			return n + 2
		}
	}
	return len(text)
}

// isColor tells whether a control sequence only selects how characters look.
func isColor(sequence string) bool {
	if !strings.HasPrefix(sequence, "\x1b[") || !strings.HasSuffix(sequence, "m") {
		return false
	}
	return strings.Trim(sequence[2:len(sequence)-1], "0123456789;:") == ""
}
