package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

var (
	// ErrUnavailable reports that the server cannot be reached, is starting or shutting down, has no connection left, or
	// that the connection was lost.
	ErrUnavailable = errors.New("the server is not available")

	// ErrPoolExhausted reports that no connection of the pool became free before the context ended.
	ErrPoolExhausted = errors.New("every connection of the pool is in use")

	// ErrContended reports that the server gave up on a transaction several times because of others: deadlocks and
	// serialization failures. The call may be repeated.
	ErrContended = errors.New("the transaction lost against concurrent ones")

	// ErrReadOnly reports a server that does not take writes: a standby, or one whose transactions are read-only by default.
	ErrReadOnly = errors.New("the server is read-only")

	// ErrFull reports that the server has no space left.
	ErrFull = errors.New("the disk of the server is full")

	// ErrNotMigrated reports a schema that is behind this release, or not there at all: run [Store.Migrate].
	ErrNotMigrated = errors.New("the schema is behind this release of ego; run Migrate")

	// ErrNewerSchema reports a schema that a later release of ego has migrated.
	ErrNewerSchema = errors.New("the schema was migrated by a newer release of ego")

	// ErrForeignSchema reports a schema that has tables of ego's names which are not ego's.
	ErrForeignSchema = errors.New("the schema has objects that are not ego's")
)

// An Error reports a call that failed on the server. It matches the reason, which is one of the variables of this
// package, and what the driver said, often a [pgconn.PgError].
type Error struct {
	Op     string // what was attempted
	Schema string // schema of the store
	Reason error  // nil when it is none that this package knows
	Err    error  // nil when the store itself found the reason
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("postgres: " + e.Op + " schema " + e.Schema)
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
	_, known := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return nil
	case known, contractError(err):
		return err
	default:
		return &Error{Op: op, Schema: c.schema, Reason: reason(err), Err: err}
	}
}

// contractError reports whether an error is one that callers of any store know.
func contractError(err error) bool {
	return errors.Is(err, persistence.ErrConflict) || errors.Is(err, persistence.ErrNotConnected) ||
		errors.Is(err, persistence.ErrInvalidRecord) || errors.Is(err, persistence.ErrInvalidArgument) ||
		errors.Is(err, offsetstore.ErrStaleLease)
}

// SQLSTATE codes, see https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	codeUniqueViolation      = "23505"
	codeReadOnlyTransaction  = "25006"
	codeSerializationFailure = "40001"
	codeDeadlock             = "40P01"
	codeUndefinedTable       = "42P01"
	codeInvalidSchema        = "3F000"
	codeTooManyConnections   = "53300"
	codeDiskFull             = "53100"
	codeProgramLimit         = "54000"
	codeQueryCanceled        = "57014"
	codeAdminShutdown        = "57P01"
	codeCannotConnectNow     = "57P03"
)

// sqlState returns the SQLSTATE of an error of the server, or "".
func sqlState(err error) string {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.Code
	}
	return ""
}

// reason returns the variable of this package that an error of the driver or of a context stands for, or nil.
func reason(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	switch code := sqlState(err); {
	case code == codeSerializationFailure, code == codeDeadlock:
		return ErrContended
	case code == codeReadOnlyTransaction:
		return ErrReadOnly
	case code == codeDiskFull:
		return ErrFull
	case code == codeUndefinedTable, code == codeInvalidSchema:
		return ErrNotMigrated
	case code == codeTooManyConnections, code == codeCannotConnectNow, strings.HasPrefix(code, "08"),
		strings.HasPrefix(code, "57P"), code == "" && lostConnection(err):
		return ErrUnavailable
	default:
		return nil
	}
}

// lostConnection reports whether an error without a SQLSTATE is one of the network. What the driver itself refuses, such
// as a value that does not fit, is none.
func lostConnection(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return connecting || pgconn.SafeToRetry(err) || netError(err)
}

// notCommitted reports whether an error of a statement that is a transaction of its own proves that it was not committed.
// The server says ERROR only for a transaction that it has rolled back. It says FATAL, and everything without words, when
// the connection ends, which may be after the commit. Class 08 is also what a pooler in between says when it lost the
// server, whatever the severity.
func notCommitted(err error) bool {
	if _, known := errors.AsType[*uncommittedError](err); known {
		return true
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.SeverityUnlocalized == "ERROR" && !strings.HasPrefix(server.Code, "08")
	}
	return pgconn.SafeToRetry(err) || errors.Is(err, pgx.ErrTxCommitRollback)
}
