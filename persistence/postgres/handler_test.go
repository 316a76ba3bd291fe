package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/projection"
)

// A readModel is a table that a projection writes, and the lease that it works under.
type readModel struct {
	store *postgres.Store
	pool  *pgxpool.Pool
	table string
	lease offsetstore.Lease
}

func newReadModel(t *testing.T) *readModel {
	t.Helper()
	schema := pgtest.Schema(t)
	store, pool := connect(t, schema)
	m := &readModel{store: store, pool: pool, table: pgx.Identifier{schema, "balances"}.Sanitize()}
	_, err := pool.Exec(t.Context(), "CREATE TABLE "+m.table+" (position bigint, UNIQUE (position) DEFERRABLE INITIALLY DEFERRED)")
	require.NoError(t, err)
	leases, err := store.AcquireLeases(t.Context(), "p", "w", []uint32{0}, time.Minute)
	require.NoError(t, err)
	m.lease = leases[0]
	return m
}

func (m *readModel) insert(ctx context.Context, tx pgx.Tx, event *projection.Event) error {
	_, err := tx.Exec(ctx, "INSERT INTO "+m.table+" VALUES ($1)", event.Position)
	return err
}

// require checks what is committed: the rows of the read model, and the offset.
func (m *readModel) require(t *testing.T, rows int, offset uint64) {
	t.Helper()
	var count int
	require.NoError(t, m.pool.QueryRow(context.Background(), "SELECT count(*) FROM "+m.table).Scan(&count))
	require.Equal(t, rows, count)
	offsets, err := m.store.Offsets(context.Background(), "p")
	require.NoError(t, err)
	if offset == 0 {
		require.Empty(t, offsets)
		return
	}
	require.Equal(t, offset, offsets[0].GetPosition())
}

func eventsAt(positions ...uint64) []*projection.Event {
	var events []*projection.Event
	for _, position := range positions {
		events = append(events, &projection.Event{Position: position})
	}
	return events
}

func transactional(t *testing.T, handler projection.Handler) projection.TransactionalHandler {
	t.Helper()
	require.Implements(t, (*projection.TransactionalHandler)(nil), handler)
	return handler.(projection.TransactionalHandler)
}

func TestTxHandler(t *testing.T) {
	t.Parallel()

	t.Run("CommitsReadModelAndOffsetTogether", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		handler := transactional(t, postgres.TxHandler(m.store, m.insert))
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(1, 2, 5), 7))
		m.require(t, 3, 7)
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, nil, 9), "all were passed over")
		m.require(t, 3, 9)
		require.NoError(t, handler.Handle(t.Context(), eventsAt(6)[0]))
		m.require(t, 4, 9)
	})
	t.Run("RollsBackBothWhenTheHandlerFails", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		failure := errors.New("handler failed")
		handler := transactional(t, postgres.TxHandler(m.store, func(ctx context.Context, tx pgx.Tx, event *projection.Event) error {
			if event.Position == 3 {
				return failure
			}
			return m.insert(ctx, tx, event)
		}))
		err := handler.HandleTransaction(t.Context(), m.lease, eventsAt(1, 2, 3), 3)
		require.ErrorIs(t, err, failure)
		require.True(t, persistence.NotWritten(err))
		m.require(t, 0, 0)
	})
	t.Run("RollsBackBothWhenTheCommitFails", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		handler := transactional(t, postgres.TxHandler(m.store, m.insert))
		err := handler.HandleTransaction(t.Context(), m.lease, eventsAt(1, 1), 3) // the constraint is deferred to the commit
		require.Error(t, err)
		require.True(t, persistence.NotWritten(err))
		m.require(t, 0, 0)
	})
	t.Run("DoesNothingUnderAStaleLease", func(t *testing.T) { // G5
		t.Parallel()
		m := newReadModel(t)
		require.NoError(t, m.store.ResetOffsets(t.Context(), "p", map[uint32]uint64{0: 1}))
		handler := transactional(t, postgres.TxHandler(m.store, func(context.Context, pgx.Tx, *projection.Event) error {
			t.Error("called under a stale lease")
			return nil
		}))
		err := handler.HandleTransaction(t.Context(), m.lease, eventsAt(1), 3)
		require.ErrorIs(t, err, offsetstore.ErrStaleLease)
		m.require(t, 0, 1)
	})
	t.Run("GivesABatchAtOnce", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		handler := transactional(t, postgres.TxBatchHandler(m.store, func(ctx context.Context, tx pgx.Tx, events []*projection.Event) error {
			positions := make([]int64, len(events))
			for i, event := range events {
				positions[i] = int64(event.Position)
			}
			_, err := tx.Exec(ctx, "INSERT INTO "+m.table+" SELECT unnest($1::bigint[])", positions)
			return err
		}))
		require.NoError(t, handler.HandleTransaction(t.Context(), m.lease, eventsAt(1, 2, 3, 4), 4))
		m.require(t, 4, 4)
	})
	t.Run("StatementsThatFailedInSilenceAreNotCommitted", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		handler := transactional(t, postgres.TxHandler(m.store, func(ctx context.Context, tx pgx.Tx, event *projection.Event) error {
			_, err := tx.Exec(ctx, "SELECT 1/0")
			require.Error(t, err)
			return nil
		}))
		err := handler.HandleTransaction(t.Context(), m.lease, eventsAt(1), 1)
		require.ErrorContains(t, err, "a statement failed")
		require.True(t, persistence.NotWritten(err))
		m.require(t, 0, 0)
	})
	t.Run("ThatEndsItsTransactionIsNotTakenForCommitted", func(t *testing.T) { // G4
		t.Parallel()
		m := newReadModel(t)
		handler := transactional(t, postgres.TxHandler(m.store, func(ctx context.Context, tx pgx.Tx, event *projection.Event) error {
			return tx.Rollback(ctx)
		}))
		err := handler.HandleTransaction(t.Context(), m.lease, eventsAt(1), 1)
		require.ErrorContains(t, err, "ended the transaction")
		require.False(t, persistence.NotWritten(err))
		m.require(t, 0, 0)
	})
	t.Run("APanicGivesTheConnectionBack", func(t *testing.T) { // G11
		t.Parallel()
		m := newReadModel(t)
		handler := transactional(t, postgres.TxHandler(m.store, func(ctx context.Context, tx pgx.Tx, event *projection.Event) error {
			require.NoError(t, m.insert(ctx, tx, event))
			panic("oops")
		}))
		require.Panics(t, func() { _ = handler.HandleTransaction(t.Context(), m.lease, eventsAt(1), 1) })
		require.Zero(t, m.pool.Stat().AcquiredConns())
		m.require(t, 0, 0)
	})
	t.Run("DeadlocksAreTriedAgain", func(t *testing.T) {
		t.Parallel()
		m := newReadModel(t)
		calls := 0
		err := m.store.Transact(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			if calls++; calls < 3 {
				_, err := tx.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$")
				return err
			}
			return m.insert(ctx, tx, eventsAt(1)[0])
		})
		require.NoError(t, err)
		require.Equal(t, 3, calls)
		m.require(t, 1, 0)
	})
	t.Run("EndsWithItsContext", func(t *testing.T) { // G12
		t.Parallel()
		m := newReadModel(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := m.store.Transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT pg_sleep(60)")
			return err
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, persistence.NotWritten(err))
	})
}
