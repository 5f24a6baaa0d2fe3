package park

import (
	"errors"
	"fmt"
)

// ErrClosed is returned, wrapped, by a Parker that was closed or that lost its queue.
var ErrClosed = errors.New("the parker is closed")

// NotSupportedError says which part of parking this kernel, or this caller, lacks.
type NotSupportedError struct {
	Feature string // what is missing, in words for people, such as "CAP_NET_ADMIN"
	Reason  error  // what the kernel answered
}

// Error names the missing feature and the kernel's answer.
func (e *NotSupportedError) Error() string {
	return fmt.Sprintf("parking needs %s: %v", e.Feature, e.Reason)
}

// Unwrap returns the kernel's answer.
func (e *NotSupportedError) Unwrap() error { return e.Reason }
