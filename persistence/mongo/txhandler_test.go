package mongo_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
	"github.com/actorkeep/ego/projection"
)

// A client is a store, and a read model beside it.
type client struct {
	*mongo.Store
	model *driver.Collection
}

// A tx is a handler in transactions under a lease, and the events that it was called with.
type tx struct {
	*client
	lease   offsetstore.Lease
	handler projection.TransactionalHandler
	called  []uint64
	fail    map[uint64]error
}

func newTx(t *testing.T, c *client) *tx {
	t.Helper()
	leases, err := c.AcquireLeases(t.Context(), "p", "one", []uint32{3}, time.Minute)
	require.NoError(t, err)
	h := &tx{client: c, lease: leases[0], fail: make(map[uint64]error)}
	h.handler = mongo.TxHandler(c.Store, func(ctx context.Context, event *projection.Event) error {
		h.called = append(h.called, event.Position)
		if err := h.fail[event.Position]; err != nil {
			return err
		}
		_, err := c.model.InsertOne(ctx, bson.D{{Key: "_id", Value: int64(event.Position)}})
		return err
	}).(projection.TransactionalHandler)
	return h
}

// handle has events handled up to a position.
func (h *tx) handle(ctx context.Context, first, last uint64) error {
	var events []*projection.Event
	for position := first; position <= last; position++ {
		events = append(events, &projection.Event{PersistenceID: "a", Shard: 3, Position: position})
	}
	return h.handler.HandleTransaction(ctx, h.lease, events, last)
}

// requireUpTo requires that the model has the events up to a position, and that the offset is there.
func (h *tx) requireUpTo(t *testing.T, position uint64) {
	t.Helper()
	cursor, err := h.model.Find(t.Context(), bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	require.NoError(t, err)
	var rows []struct {
		ID int64 `bson:"_id"`
	}
	require.NoError(t, cursor.All(t.Context(), &rows))
	require.Len(t, rows, int(position))
	for i, row := range rows {
		require.Equal(t, int64(i+1), row.ID)
	}
	offsets, err := h.Offsets(t.Context(), "p")
	require.NoError(t, err)
	if position == 0 {
		require.Empty(t, offsets)
		return
	}
	require.Equal(t, position, offsets[0].GetPosition())
}

const (
	readRegister  = "find ego_consumers"
	writeRegister = "insert ego_consumers"
	writeModel    = "insert model"
	commits       = "commitTransaction"
	aborts        = "abortTransaction"
)

// TestTransactions is on a stand-in for the transactions of a replica set: see [transactions] for what it proves.
func TestTransactions(t *testing.T) { // G4
	t.Parallel()

	t.Run("HaveTheOffsetAndTheModel", func(t *testing.T) {
		t.Parallel()
		x, c := transactional(t)
		h := newTx(t, c)
		require.NoError(t, h.handle(t.Context(), 1, 2))
		attempts := x.attempts()
		require.Len(t, attempts, 1)
		requireAttempt(t, attempts[0], readRegister, writeRegister, writeModel, writeModel, commits)
		h.requireUpTo(t, 2)
	})
	t.Run("AreAbortedWhenTheHandlerFails", func(t *testing.T) {
		t.Parallel()
		x, c := transactional(t)
		h := newTx(t, c)
		require.NoError(t, h.handle(t.Context(), 1, 1))
		failure := errors.New("the handler failed")
		h.fail[3] = failure
		err := h.handle(t.Context(), 2, 3)
		require.ErrorIs(t, err, failure)
		require.True(t, persistence.NotWritten(err))
		named, ok := errors.AsType[*projection.EventError](err)
		require.True(t, ok)
		require.Equal(t, uint64(3), named.Event.Position)
		requireAttempt(t, x.attempts()[1], readRegister, writeRegister, writeModel, aborts)
		h.requireUpTo(t, 1)
	})
	t.Run("BeginAgainWhenTheServerAsksForIt", func(t *testing.T) {
		t.Parallel()
		x, c := transactional(t)
		h := newTx(t, c)
		conflict := mongotest.Failure(112, "WriteConflict", "TransientTransactionError")
		x.await(writeModel, trap{done: true}, trap{answer: conflict}) // of the second event
		x.await(commits, trap{answer: conflict})                      // of the second attempt
		require.NoError(t, h.handle(t.Context(), 1, 2))
		attempts := x.attempts()
		require.Len(t, attempts, 3)
		requireAttempt(t, attempts[0], readRegister, writeRegister, writeModel, writeModel, aborts)
		requireAttempt(t, attempts[1], readRegister, writeRegister, writeModel, writeModel, commits)
		requireAttempt(t, attempts[2], readRegister, writeRegister, writeModel, writeModel, commits)
		require.Equal(t, []uint64{1, 2, 1, 2, 1, 2}, h.called, "the whole handler, from the first event")
		h.requireUpTo(t, 2)
	})
	for name, done := range map[string]bool{"BeforeItIsDone": false, "WhenItIsDone": true} {
		t.Run("AreCommittedAgainWhenTheCommitIsUnknown"+name, func(t *testing.T) {
			t.Parallel()
			x, c := transactional(t)
			h := newTx(t, c)
			x.await(commits, trap{done: done, answer: mongotest.Failure(steppedDown, "PrimarySteppedDown", "UnknownTransactionCommitResult")})
			require.NoError(t, h.handle(t.Context(), 1, 1))
			attempts := x.attempts()
			require.Len(t, attempts, 1)
			requireAttempt(t, attempts[0], readRegister, writeRegister, writeModel, commits, commits)
			require.Equal(t, []uint64{1}, h.called)
			h.requireUpTo(t, 1)
		})
		t.Run("SayThatTheCommitStaysUnknown"+name, func(t *testing.T) { // G9
			t.Parallel()
			x, c := transactional(t)
			h := newTx(t, c)
			x.await(commits, slices.Repeat([]trap{{done: done, answer: mongotest.Failure(50, "MaxTimeMSExpired", "UnknownTransactionCommitResult")}}, 10_000)...)
			limit, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			err := h.handle(limit, 1, 1)
			require.ErrorIs(t, err, context.DeadlineExceeded, "it is not repeated for longer than that")
			require.False(t, persistence.NotWritten(err), "%v", err)
			require.Equal(t, []uint64{1}, h.called)
			x.await(commits)
			h.called = nil
			require.NoError(t, h.handle(t.Context(), 1, 2), "the events are offered again, and more")
			if done {
				require.Equal(t, []uint64{2}, h.called, "what took effect is passed over")
			}
			h.requireUpTo(t, 2)
		})
	}
	t.Run("DoNotBeginAgainForEver", func(t *testing.T) { // G12
		t.Parallel()
		x, c := transactional(t)
		h := newTx(t, c)
		x.await(writeModel, slices.Repeat([]trap{{answer: mongotest.Failure(112, "WriteConflict", "TransientTransactionError")}}, 10_000)...)
		limit, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := h.handle(limit, 1, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, persistence.NotWritten(err), "%v", err)
		require.Greater(t, len(x.attempts()), 1)
		h.requireUpTo(t, 0)
	})
	t.Run("EndWithAHandlerThatPanics", func(t *testing.T) { // G11
		t.Parallel()
		x, c := transactional(t)
		h := newTx(t, c)
		broken := mongo.TxHandler(c.Store, func(context.Context, *projection.Event) error { panic("as asked") })
		event := []*projection.Event{{PersistenceID: "a", Shard: 3, Position: 1}}
		require.Panics(t, func() { _ = broken.(projection.TransactionalHandler).HandleTransaction(t.Context(), h.lease, event, 1) })
		requireAttempt(t, x.attempts()[0], readRegister, writeRegister, aborts)
		require.NoError(t, h.handle(t.Context(), 1, 1))
		h.requireUpTo(t, 1)
	})
	t.Run("BeginAgainWhenTheOffsetIsChangedMeanwhile", func(t *testing.T) {
		t.Parallel()
		x, c := transactional(t)
		h := newTx(t, c)
		beside, _ := connect(t, x.database.Name())
		x.await(writeRegister, trap{done: true, before: func() {
			_, err := beside.RenewLeases(context.Background(), []offsetstore.Lease{h.lease}, time.Minute)
			require.NoError(t, err)
		}})
		require.NoError(t, h.handle(t.Context(), 1, 1))
		attempts := x.attempts()
		require.Len(t, attempts, 2)
		requireAttempt(t, attempts[0], readRegister, writeRegister, aborts)
		requireAttempt(t, attempts[1], readRegister, writeRegister, writeModel, commits)
		h.requireUpTo(t, 1)
	})
	t.Run("AreAbortedWhenTheLeaseIsStale", func(t *testing.T) { // G5
		t.Parallel()
		x, c := transactional(t)
		h := newTx(t, c)
		h.lease.Epoch--
		require.ErrorIs(t, h.handle(t.Context(), 1, 1), offsetstore.ErrStaleLease)
		requireAttempt(t, x.attempts()[0], readRegister, aborts)
		require.Empty(t, h.called)
		h.requireUpTo(t, 0)
	})
	t.Run("HaveTheDeadLetterThatIsRetried", func(t *testing.T) {
		t.Parallel()
		x, c := transactional(t)
		h := newTx(t, c)
		letter := &egopb.DeadLetter{Event: &egopb.Event{PersistenceId: "a", SequenceNumber: 1, Shard: 3, Position: 1}}
		require.NoError(t, c.ParkEvents(t.Context(), h.lease, []*egopb.DeadLetter{letter}))
		require.NoError(t, c.CommitOffset(t.Context(), h.lease, 1))
		event := []*projection.Event{{PersistenceID: "a", Shard: 3, Position: 1}}
		retrier := h.handler.(projection.TransactionalRetrier)
		require.NoError(t, retrier.RetryTransaction(t.Context(), h.lease, event, 1))
		requireAttempt(t, x.attempts()[0], readRegister, writeRegister, "delete ego_dead_letters", writeModel, commits)
		require.NoError(t, retrier.RetryTransaction(t.Context(), h.lease, event, 1))
		require.Equal(t, []uint64{1}, h.called, "the letter was gone")
		h.requireUpTo(t, 1)
	})
}
