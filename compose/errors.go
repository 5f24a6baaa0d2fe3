package compose

import (
	"errors"
	"fmt"
	"strings"
)

// FieldError is bad input from the user: a compose file, an env file, an
// option of the command line or a COMPOSE_ variable. IsInputError tells it from
// everything else that can go wrong.
type FieldError struct {
	File   string // as shown to the user: relative to the current directory where it lies below it; "" if no file is to blame
	Line   int    // from 1; 0 if not known
	Path   string // key path, as services.web.ports[0]; "" if no key is to blame
	Reason string // what is wrong, and what is allowed
	Err    error  // the cause, if it came from elsewhere
}

// Error gives one line: compose.yaml:12: services.web.x-upall.hodl: unknown key.
func (e *FieldError) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	b.WriteString(e.Reason)
	return oneLine(b.String())
}

// Unwrap returns the cause.
func (e *FieldError) Unwrap() error { return e.Err }

// IsInputError reports whether an error is the input's fault, for which a
// command exits with code 2: whether there is a *FieldError in its chain.
func IsInputError(err error) bool {
	var input *FieldError
	return errors.As(err, &input)
}

// fieldErrorf returns a FieldError for a key path; Sources.locate adds the file.
// compose-go sets a dot before an index here and there; a path has none.
func fieldErrorf(path, format string, args ...any) *FieldError {
	return &FieldError{Path: strings.ReplaceAll(path, ".[", "["), Reason: fmt.Sprintf(format, args...)}
}

// oneLine folds every run of white space and control characters to a space,
// so that neither a parser's layout nor a user's value can break the line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029'
	}), " ")
}
