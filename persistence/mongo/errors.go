package mongo

import (
	"context"
	"errors"
	"slices"
	"strings"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

var (
	// ErrUnavailable reports that no server that takes writes can be reached, or that the connection was lost.
	ErrUnavailable = errors.New("the server is not available")

	// ErrContended reports a call that lost against concurrent ones until its time was over. It may be repeated.
	ErrContended = errors.New("the call lost against concurrent ones")

	// ErrNotMigrated reports a database that is behind this release, or that has no store: run [Store.Migrate].
	ErrNotMigrated = errors.New("the database is behind this release of ego; run Migrate")

	// ErrNewerLayout reports a database that a later release of ego has migrated.
	ErrNewerLayout = errors.New("the database was migrated by a newer release of ego")

	// ErrNoTransactions reports a deployment without transactions: a standalone server. Transactions need a replica set,
	// which may have a single member, or a sharded cluster.
	ErrNoTransactions = errors.New("the deployment has no transactions; they need a replica set")
)

// An Error reports a call that failed on the server. It matches the reason, which is one of the variables of this
// package, and what the driver said.
type Error struct {
	Op       string // what was attempted
	Database string // database of the store
	Reason   error  // nil when it is none that this package knows
	Err      error  // nil when the store itself found the reason
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("mongo: " + e.Op + " database " + e.Database)
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

// fail says what was attempted and why it failed. Errors that the contract gives a meaning stay as they are. When the
// context has ended, the error matches that of the context.
func (c *config) fail(ctx context.Context, op string, err error) error {
	var known *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known), contractError(err):
		return err
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		err = &endedError{ended, err}
	}
	return &Error{Op: op, Database: c.database, Reason: reason(ctx.Err() != nil, err), Err: err}
}

// An endedError is the error of a driver that was cut off by a context.
type endedError struct{ ended, err error }

func (e *endedError) Error() string   { return e.ended.Error() + " (" + e.err.Error() + ")" }
func (e *endedError) Unwrap() []error { return []error{e.ended, e.err} }

// contractError reports whether an error is one that callers of any store know.
func contractError(err error) bool {
	return errors.Is(err, persistence.ErrConflict) || errors.Is(err, persistence.ErrNotConnected) ||
		errors.Is(err, persistence.ErrInvalidRecord) || errors.Is(err, persistence.ErrInvalidArgument) ||
		errors.Is(err, offsetstore.ErrStaleLease) || errors.Is(err, encryption.ErrKeyConflict) || errors.Is(err, encryption.ErrErased)
}

// reason returns the variable of this package that an error of the driver or of a context stands for, or nil. The driver's own
// limit for finding a server looks like the end of a context.
func reason(ended bool, err error) error {
	var known *Error
	switch {
	case ended, errors.As(err, &known):
		return nil
	case unsent(err):
		return ErrUnavailable
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case driver.IsNetworkError(err), hasCode(err, refusals...), hasCode(err, interruptions...):
		return ErrUnavailable
	default:
		return nil
	}
}

// Codes of the server, see https://www.mongodb.com/docs/manual/reference/error-codes/.
const (
	codeBadValue            = 2
	codeUnauthorized        = 13
	codeIllegalOperation    = 20
	codeShutdown            = 91
	codeSteppedDown         = 189
	codeNotPrimary          = 10107
	codeTooLarge            = 10334
	codeDuplicateKey        = 11000
	codeInterruptedShutdown = 11600
	codeInterruptedChange   = 11602
	codeNotPrimaryNoOk      = 13435
)

// refusals are the codes of a server that does not take writes. It says so before it begins.
var refusals = []int{codeNotPrimary, codeNotPrimaryNoOk} //nolint:gochecknoglobals // never changed

// interruptions are the codes of a server that stopped to take writes while it was at one, which it may have made.
var interruptions = []int{codeShutdown, codeSteppedDown, codeInterruptedShutdown, codeInterruptedChange} //nolint:gochecknoglobals // never changed

func hasCode(err error, codes ...int) bool {
	var server driver.ServerError
	return errors.As(err, &server) && slices.ContainsFunc(codes, server.HasErrorCode)
}

// unsent reports whether an error shows that a command was never sent.
func unsent(err error) bool {
	var (
		selection topology.ServerSelectionError
		queue     topology.WaitQueueTimeoutError
		marshal   driver.MarshalError
	)
	return errors.As(err, &selection) || errors.As(err, &queue) || errors.As(err, &marshal) ||
		errors.Is(err, driver.ErrClientDisconnected)
}

// An outcomeError is an error after which a write may have happened.
type outcomeError struct{ err error }

func (e *outcomeError) Error() string { return "the outcome is unknown: " + e.err.Error() }
func (e *outcomeError) Unwrap() error { return e.err }

// unknownIf marks an error of a write that may have happened. What it says of another attempt must not speak for this one.
func unknownIf(open bool, err error) error {
	if !open {
		return err
	}
	if persistence.NotWritten(err) {
		err = errors.New(err.Error())
	}
	return &outcomeError{err}
}

// refused reports whether an error of an insert proves that the document was not stored.
func refused(err error) bool {
	if unreplicated(err) {
		return false // whatever the code is that it gives
	}
	if unsent(err) || hasCode(err, codeBadValue, codeUnauthorized, codeIllegalOperation, codeTooLarge) || hasCode(err, refusals...) {
		return true
	}
	var one driver.WriteException
	return errors.As(err, &one) && len(one.WriteErrors) > 0
}

// unreplicated reports whether an error says of a write that was made that no majority is known to have it. Its code may be
// one of those with which a server refuses a write before it begins.
func unreplicated(err error) bool {
	var one driver.WriteException
	var many driver.BulkWriteException
	return errors.As(err, &one) && one.WriteConcernError != nil || errors.As(err, &many) && many.WriteConcernError != nil
}

// settle makes the error of a write that ended: definite unless it is an [outcomeError].
func settle(err error) error {
	var open *outcomeError
	if err == nil || errors.As(err, &open) {
		return err
	}
	return persistence.DefinitelyNotWritten(err)
}

// A partialError is the error of a call that did some of its work before. It matches what err matches, but does not say
// that nothing was written, whatever err says.
type partialError struct{ err error }

func (e *partialError) Error() string { return "partly done: " + e.err.Error() }

// Is reports whether err matches target.
func (e *partialError) Is(target error) bool {
	return errors.Is(e.err, target) && !persistence.NotWritten(target)
}
