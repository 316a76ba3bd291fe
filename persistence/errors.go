package persistence

import (
	"errors"
	"fmt"
)

var (
	// ErrConflict is matched by every [ConflictError].
	ErrConflict = errors.New("persistence: conflict with a concurrent writer")

	// ErrNotConnected reports a call to a store outside Connect and Disconnect. Nothing was written.
	ErrNotConnected = errors.New("persistence: store is not connected")

	// ErrInvalidRecord is matched by the error for a record that no store may accept, such as an event without a
	// persistence id or one that is too large for the store. Nothing was written. [InvalidRecordError] carries the
	// entity.
	ErrInvalidRecord = errors.New("persistence: invalid record")

	// ErrInvalidArgument reports an argument outside its range, such as a limit below one. Nothing was written.
	ErrInvalidArgument = errors.New("persistence: invalid argument")
)

// A ConflictError reports that another writer already stored a sequence number, or that a writer would leave a gap.
// Nothing of the write was stored. It matches [ErrConflict].
type ConflictError struct {
	PersistenceID    string
	Expected, Actual uint64 // number the writer tried next; highest number stored
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("persistence: conflict on entity %q: writer tried number %d, highest stored is %d",
		e.PersistenceID, e.Expected, e.Actual)
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// An InvalidRecordError reports a record that the store cannot accept. It matches [ErrInvalidRecord].
type InvalidRecordError struct {
	PersistenceID string // empty when that is what is wrong
	Reason        string
}

func (e *InvalidRecordError) Error() string {
	return fmt.Sprintf("persistence: invalid record of entity %q: %s", e.PersistenceID, e.Reason)
}

// Is reports whether target is [ErrInvalidRecord].
func (e *InvalidRecordError) Is(target error) bool { return target == ErrInvalidRecord }

// A ShardCountError reports that a store was opened with another shard count than it was created with.
type ShardCountError struct {
	Stored, Configured uint32
}

func (e *ShardCountError) Error() string {
	return fmt.Sprintf("persistence: the store was created with %d shards and is opened with %d; the count cannot change",
		e.Stored, e.Configured)
}

// DefinitelyNotWritten wraps err to say that the write it comes from left nothing behind. It returns nil for nil.
func DefinitelyNotWritten(err error) error {
	if err == nil {
		return nil
	}
	return &notWrittenError{err}
}

// NotWritten reports whether err proves that the write it comes from stored nothing. It is false for every error that
// does not say so: the outcome of such a write is unknown.
func NotWritten(err error) bool {
	var definite *notWrittenError
	return errors.As(err, &definite) ||
		errors.Is(err, ErrConflict) ||
		errors.Is(err, ErrNotConnected) ||
		errors.Is(err, ErrInvalidRecord) ||
		errors.Is(err, ErrInvalidArgument)
}

type notWrittenError struct{ err error }

func (e *notWrittenError) Error() string { return e.err.Error() }
func (e *notWrittenError) Unwrap() error { return e.err }
