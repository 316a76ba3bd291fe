package mongo

import (
	"context"
	"errors"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// Labels of errors in transactions: nothing of the transaction was committed, and it may have been.
const (
	transient = "TransientTransactionError"
	unknown   = "UnknownTransactionCommitResult"
)

func labeled(err error, label string) bool {
	found, ok := errors.AsType[driver.LabeledError](err)
	return ok && found.HasErrorLabel(label)
}

// transact runs fn in a transaction of the deployment, with the time of the server, which cannot be asked for within it. It
// begins again for as long as the server asks for it and the call has time. The driver's own loop would go on for two minutes.
func (s *Store) transact(ctx context.Context, op string, fn func(ctx context.Context, c *session, now time.Time) error) error {
	return s.write(ctx, op, func(work context.Context, c *session) error {
		if !c.features.replicated {
			return &Error{Op: op, Database: c.database, Reason: ErrNoTransactions}
		}
		session, err := c.client.StartSession()
		if err != nil {
			return err
		}
		defer session.EndSession(work) // aborts the transaction of a handler that panics
		for attempt := 0; ; attempt++ {
			now, err := c.clock(work)
			if err != nil {
				return err
			}
			again, err := transactOnce(work, session, func(ctx context.Context) error { return fn(ctx, c, now) })
			if !again || pause(work, attempt) != nil {
				return err
			}
		}
	})
}

// transactOnce makes one attempt, and reports whether another one may succeed. Nothing is committed then.
func transactOnce(ctx context.Context, session *driver.Session, fn func(ctx context.Context) error) (again bool, err error) {
	err = session.StartTransaction(options.Transaction().SetReadConcern(readconcern.Snapshot()).SetReadPreference(readpref.Primary()).
		SetWriteConcern(durable()))
	if err != nil {
		return false, err
	}
	if err := fn(driver.NewSessionContext(ctx, session)); err != nil {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		_ = session.AbortTransaction(limit) // the server does so by itself after a while
		return errors.Is(err, errTakenMeanwhile) || labeled(err, transient), err
	}
	for attempt := 0; ; attempt++ {
		err := session.CommitTransaction(ctx)
		switch {
		case err == nil:
			return false, nil
		case labeled(err, transient):
			return true, err
		case !labeled(err, unknown), pause(ctx, attempt) != nil:
			return false, uncertain(err)
		}
	}
}
