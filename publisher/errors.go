package publisher

import (
	"errors"
	"fmt"
)

var (
	// ErrRejected is matched by every error of [Reject].
	ErrRejected = errors.New("publisher: rejected")

	// ErrUnavailable is matched by every error of [Unavailable].
	ErrUnavailable = errors.New("publisher: broker unavailable")

	// ErrClosed reports a call to a publisher that was closed.
	ErrClosed = errors.New("publisher: closed")
)

// classified is an error of which is known whose fault it is.
type classified struct {
	class error
	err   error
}

func (e *classified) Error() string {
	if e.err == nil {
		return e.class.Error()
	}
	return fmt.Sprintf("%v: %v", e.class, e.err)
}

func (e *classified) Unwrap() []error {
	if e.err == nil {
		return []error{e.class}
	}
	return []error{e.class, e.err}
}

// Reject says that the broker will never take this event, whatever is tried: it is too large, or cannot be encoded. The
// event is parked, and later events of its entity behind it; all others go on. The error matches [ErrRejected].
func Reject(err error) error { return &classified{ErrRejected, err} }

// Rejectf is [Reject] with a formatted error.
func Rejectf(format string, args ...any) error { return Reject(fmt.Errorf(format, args...)) }

// Unavailable says that the event is not to blame: the broker cannot be reached, or refuses everything. The event is tried
// again for as long as it takes. The error matches [ErrUnavailable].
func Unavailable(err error) error { return &classified{ErrUnavailable, err} }
