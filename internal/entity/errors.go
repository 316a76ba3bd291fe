package entity

import (
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
)

var (
	// ErrOutcomeUnknown reports a write of which nobody can say whether it was stored.
	ErrOutcomeUnknown = errors.New("ego: the outcome of the write is unknown")

	// ErrWriteFailed reports a write of which nothing was stored.
	ErrWriteFailed = errors.New("ego: the write failed and nothing was stored")

	// ErrRecovery reports that an entity could not be read back from the store.
	ErrRecovery = errors.New("ego: the entity cannot be recovered")

	// ErrKindMismatch reports an entity that belongs to another kind.
	ErrKindMismatch = errors.New("ego: the entity is of another kind")
)

// The codes of refusals that ego itself makes.
const (
	CodeRejected = "rejected" // the handler returned a plain error
	CodePanic    = "panic"    // a handler panicked
	CodeInvalid  = "invalid"  // a handler broke its contract
)

// A Refusal reports a command that had no effect because a handler refused it, panicked or broke its contract.
type Refusal struct { //nolint:errname // a refusal is the word for it
	Code    string // set by ego; empty when the handler's own error decides
	Err     error
	tainted bool // the state in memory can no longer be trusted
}

func (e *Refusal) Error() string { return e.Err.Error() }
func (e *Refusal) Unwrap() error { return e.Err }

// A PanicError reports a panic in user code.
type PanicError struct {
	Handler string // the method that panicked
	Value   any    // what it panicked with
	Stack   []byte // the stack of the panic
}

func (e *PanicError) Error() string { return fmt.Sprintf("%s panicked: %v", e.Handler, e.Value) }

// Unwrap returns the value of the panic when it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// invalid refuses a command because a handler broke its contract.
func invalid(format string, args ...any) *Refusal {
	return &Refusal{Code: CodeInvalid, Err: fmt.Errorf(format, args...), tainted: true}
}

// IsNil reports whether a message is nil or a typed nil pointer.
func IsNil(message proto.Message) bool {
	if message == nil {
		return true
	}
	value := reflect.ValueOf(message) // cheaper than the message's own reflection
	return value.Kind() == reflect.Pointer && value.IsNil()
}
