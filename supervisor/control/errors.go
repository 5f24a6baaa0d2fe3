package control

import (
	"errors"
	"fmt"
	"net/http"
)

// ErrGone says that no supervisor answers.
var ErrGone = errors.New("the project's supervisor does not answer")

// Error is an answer that is not a success. A Project returns one to choose the
// status.
type Error struct {
	Status  int    `json:"-"`     // of HTTP
	Message string `json:"error"` // one line that a person can act on
}

// Errorf makes an Error.
func Errorf(status int, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }

// asError finds the Error in err; without one it is an internal error.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return &Error{Status: e.Status, Message: err.Error()}
	}
	return &Error{Status: http.StatusInternalServerError, Message: err.Error()}
}
