package chaos_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

const patience = 2 * time.Minute

// TestCheckerFindsABrokenEpochCheck has an owner sleep in a handler until its shard is another's. With a store that lets it
// commit all the same, the checker must find events that were handled twice, and nothing with the real one.
func TestCheckerFindsABrokenEpochCheck(t *testing.T) { // G5
	t.Parallel()
	for name, broken := range map[string]bool{"Sound": false, "Broken": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "epoch.db")
			sleeper, other := openTest(t, path), openTest(t, path)
			handler := &sleepingHandler{TransactionalHandler: sleeper.exact(), entered: make(chan struct{}), wake: make(chan struct{})}
			handler.done = make(chan struct{})
			if broken {
				handler.TransactionalHandler = anyEpoch{handler.TransactionalHandler, sleeper}
			}
			faults := persistencetest.NewFaults()
			deposits(t, startWith(t, sleeper.Store, nil), 10) // so that one page has them all
			startWith(t, faults.Backend(sleeper.Store), handler)
			<-handler.entered
			faults.On("RenewLeases").Fail(errRandom)
			faults.On("AcquireLeases").Fail(errRandom)
			second := startWith(t, other.Store, other.exact())
			require.NoError(t, second.WaitForProjection(within(t), "exact", "entity", 10))
			close(handler.wake)
			<-handler.done

			b, err := openFile(t.Context(), path)
			require.NoError(t, err)
			defer b.close(context.Background()) //nolint:errcheck // only reads
			rows, err := b.rows(t.Context())
			require.NoError(t, err)
			err = check(t.Context(), b.store, rows, promise{"exact", true})
			if broken {
				require.ErrorContains(t, err, "twice, or out of order")
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// TestCheckerFindsABrokenOrder reads from a store in which events become visible out of order, as with a plain sequence. The
// reader must not skip what comes late, but stop, and the checker must find what is missing.
func TestCheckerFindsABrokenOrder(t *testing.T) { // G3
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "order.db"))
	writer := startWith(t, s.Store, nil)
	deposits(t, writer, 10)
	engine := startWith(t, &lateStore{Store: s.Store}, s.exact())
	require.Eventually(t, func() bool {
		running, err := engine.IsProjectionRunning(t.Context(), "exact")
		return err == nil && !running
	}, patience, time.Millisecond)
	require.ErrorContains(t, engine.Health(t.Context()), "broke the order")

	b, err := openFile(t.Context(), s.path)
	require.NoError(t, err)
	defer b.close(context.Background()) //nolint:errcheck // only reads
	rows, err := b.rows(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, check(t.Context(), b.store, rows, promise{"exact", true}), "entity ends at event")
}

// lateStore shows the first page of a shard without its second event.
type lateStore struct{ *sqlite.Store }

func (s *lateStore) GetShardEvents(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
	page, err := s.Store.GetShardEvents(ctx, shard, after, limit)
	if err == nil && len(page) > 2 && after == 0 { // to whoever owns the shard
		page = slices.Delete(page, 1, 2)
	}
	return page, err
}

// testStore is a file with the read model.
type testStore struct {
	*sqlite.Store
	path string
}

func openTest(t *testing.T, path string) *testStore {
	t.Helper()
	b, err := openFile(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, b.create(t.Context()))
	t.Cleanup(func() { require.NoError(t, b.close(context.Background())) })
	return &testStore{b.store.(*sqlite.Store), path}
}

func (s *testStore) exact() projection.TransactionalHandler {
	return sqlite.TxHandler(s.Store, insertSeen).(projection.TransactionalHandler)
}

func insertSeen(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO seen (projection, entity, number, position) VALUES ('exact', ?, ?, ?)`,
		event.PersistenceID, int64(event.SequenceNumber), int64(event.Position))
	return err
}

// sleepingHandler sleeps before its first transaction, whatever becomes of its context.
type sleepingHandler struct {
	projection.TransactionalHandler
	entered, wake, done chan struct{}
	slept               atomic.Bool
}

func (h *sleepingHandler) HandleTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	if len(events) == 0 || h.slept.Swap(true) {
		return h.TransactionalHandler.HandleTransaction(ctx, lease, events, position)
	}
	defer close(h.done)
	close(h.entered)
	<-h.wake
	return h.TransactionalHandler.HandleTransaction(context.Background(), lease, events, position)
}

// anyEpoch commits under whatever lease is the current one, and does not look at what was handled.
type anyEpoch struct {
	projection.TransactionalHandler
	store *testStore
}

func (h anyEpoch) HandleTransaction(ctx context.Context, lease offsetstore.Lease, events []*projection.Event, position uint64) error {
	leases, err := h.store.Leases(ctx, lease.Consumer)
	if err != nil {
		return err
	}
	for _, current := range leases {
		if current.Shard == lease.Shard {
			lease = current
		}
	}
	return h.store.CommitOffsetTx(ctx, lease, position, func(ctx context.Context, tx *sql.Tx) error {
		for _, event := range events {
			err = errors.Join(err, insertSeen(ctx, tx, event))
		}
		return err
	})
}

func startWith(t *testing.T, s store, handler projection.Handler) *ego.Engine {
	t.Helper()
	options := map[string]*projection.Options{}
	if handler != nil {
		options["exact"] = &projection.Options{Handler: handler, PullInterval: 5 * time.Millisecond}
	}
	engine := newEngine(&backend{store: s}, leaseTime, options)
	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })
	if handler != nil {
		require.NoError(t, engine.StartProjection(t.Context(), "exact"))
	}
	return engine
}

func deposits(t *testing.T, engine *ego.Engine, count int) {
	t.Helper()
	require.NoError(t, engine.Entity(t.Context(), testaccount.New("entity")))
	for range count {
		_, _, err := engine.SendCommand(t.Context(), "entity", &testpb.Deposit{Amount: 1}, patience)
		require.NoError(t, err)
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
