package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
)

// insideKey marks the context of a function that runs in a write transaction of the store that is its value.
type insideKey struct{ store *config }

// errTransactionLost reports that SQLite ended a transaction on its own.
var errTransactionLost = errors.New("a statement failed in a way that ended the transaction, and statements after it were not part of it")

// Transact runs fn in a write transaction, for tables of your own in the same file: to create and migrate read models, or
// to change them. Names that begin with ego_ belong to the store. The transaction is committed when fn returns nil.
//
// The store writes nothing else meanwhile, so fn should be short. It must not end the transaction or keep tx, and writing
// through the store from within it fails with [persistence.ErrInvalidArgument] as long as it passes on the context that it
// was given. A statement of fn that fails for want of space, by an I/O error or because its context ended makes SQLite
// roll back the whole transaction; fn must return after such an error, as statements that follow would be on their own.
func (s *Store) Transact(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	return s.write(ctx, write{op: "transact on", run: func(ctx context.Context, t *tx) error {
		return s.callUser(ctx, t, fn)
	}})
}

// callUser calls the function of a user and makes sure that the transaction is still there when it returns.
func (s *Store) callUser(ctx context.Context, t *tx, fn func(ctx context.Context, tx *sql.Tx) error) error {
	err := fn(context.WithValue(ctx, insideKey{&s.config}, true), t.Tx)
	// SQLite refuses to begin a transaction within one.
	if t.exec("BEGIN") == nil {
		return &partialError{errors.Join(errTransactionLost, err)}
	}
	return cmp.Or(err, ctx.Err())
}

// checkOutside returns the error of a write that would wait for itself.
func (c *config) checkOutside(ctx context.Context) error {
	if ctx.Value(insideKey{c}) != nil {
		return invalid("a write to %s within a transaction on it", c.path)
	}
	return nil
}
