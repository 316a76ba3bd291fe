package sqlite

import (
	"context"
	"errors"
	"strings"

	"github.com/actorkeep/ego/persistence"
)

var (
	// ErrLocked reports that somebody else held a lock on the file for longer than the busy timeout. The call may be
	// repeated.
	ErrLocked = errors.New("the file is locked by another process or store")

	// ErrForeignFile reports a file that is no ego store: no SQLite database, or one of another application. Connect
	// leaves it as it is.
	ErrForeignFile = errors.New("the file is not an ego store")

	// ErrNewerSchema reports a file that a later release of ego has written.
	ErrNewerSchema = errors.New("the file was written by a newer release of ego")

	// ErrNotWritable reports a file that cannot be created or written: by its permissions or those of its directory, or
	// because the file system is mounted read-only.
	ErrNotWritable = errors.New("the file cannot be opened for writing")

	// ErrFull reports that there is no space left to write.
	ErrFull = errors.New("the disk or the file is full")

	// ErrFileMoved reports that the path no longer names the file that Connect opened: it was deleted, moved or replaced.
	// Whatever would be written to it now would be lost, so writes are refused until Disconnect and Connect.
	ErrFileMoved = errors.New("the file was deleted, moved or replaced while the store was connected")
)

// An Error reports a call that failed on the file of a store. It matches the reason, which is one of the variables of
// this package, and what the driver said.
type Error struct {
	Op     string // what was attempted
	Path   string // absolute path of the file
	Reason error  // nil when it is none that this package knows
	Err    error  // nil when the store itself found the reason
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("sqlite: " + e.Op + " " + e.Path)
	for _, err := range []error{e.Reason, e.Err} {
		if err != nil {
			b.WriteString(": " + err.Error())
		}
	}
	return b.String()
}

// Unwrap returns the reason and the error of the driver.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 2)
	if e.Reason != nil {
		errs = append(errs, e.Reason)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// fail says what was attempted and why it failed. Errors that the contract gives a meaning stay as they are.
func (c *config) fail(op string, err error) error {
	var known *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known), contractError(err):
		return err
	default:
		return &Error{Op: op, Path: c.path, Reason: reason(err), Err: err}
	}
}

// contractError reports whether an error is one that callers of any store know.
func contractError(err error) bool {
	return persistence.NotWritten(err) || isStale(err)
}

// reason returns the variable of this package that an error of the driver or of a context stands for, or nil.
func reason(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	switch primaryCode(err) {
	case codeBusy, codeLocked, codeProtocol:
		return ErrLocked
	case codeNotADatabase:
		return ErrForeignFile
	case codeReadOnly, codeCannotOpen, codePermission:
		return ErrNotWritable
	case codeFull:
		return ErrFull
	default:
		return nil
	}
}
