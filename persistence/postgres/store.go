package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/internal/lifecycle"
)

var (
	_ persistence.EventsStore     = (*Store)(nil)
	_ persistence.SnapshotStore   = (*Store)(nil)
	_ persistence.StateStore      = (*Store)(nil)
	_ persistence.TimerStore      = (*Store)(nil)
	_ persistence.Notifier        = (*Store)(nil)
	_ offsetstore.OffsetStore     = (*Store)(nil)
	_ offsetstore.DeadLetterStore = (*Store)(nil)
)

// Store keeps events, states, snapshots, timers, leases, offsets and dead letters in one schema of a PostgreSQL database.
// Make one with [NewStore]. All methods may be called concurrently.
type Store struct {
	config

	lifecycle *lifecycle.Lifecycle[*session]
}

// NewStore returns a store that works through the pool of the caller and never closes it. It does not touch the database:
// [Store.Migrate] creates the tables, [Store.Connect], or the first call without it, checks them. Options that are out of
// range are reported by both, as [persistence.ErrInvalidArgument].
func NewStore(pool *pgxpool.Pool, opts ...Option) *Store {
	return &Store{config: newConfig(pool, opts), lifecycle: lifecycle.New[*session]()}
}

// Connect checks that the schema is the one that this release works with, and that the store has the shard count that it
// was created with; the first Connect records the count. It fails with [persistence.ShardCountError], or with an [Error]
// that matches [ErrNotMigrated], [ErrNewerSchema], [ErrForeignSchema] or [ErrUnavailable] when one of them is the reason.
// Connect is idempotent.
func (s *Store) Connect(ctx context.Context) error {
	return s.lifecycle.Open(ctx, func() (*session, error) {
		if err := s.prepare(ctx); err != nil {
			return nil, s.fail("connect to", err)
		}
		return openSession(&s.config), nil
	})
}

// Disconnect waits for the calls under way and ends what the store itself runs: [Store.Listen] and the sender of
// notifications. Calls that come later get [persistence.ErrNotConnected]. When ctx ends first, Disconnect returns its
// error and the rest ends as soon as those calls return. Disconnect is idempotent, and leaves the pool open.
func (s *Store) Disconnect(ctx context.Context) error {
	return s.fail("disconnect from", s.lifecycle.Close(ctx, (*session).end, (*session).close))
}

const selectShardCount = `SELECT shards FROM ego.store`

// Ping reads from the schema and returns nil when that works.
func (s *Store) Ping(ctx context.Context) error {
	var shards uint32
	_, err := s.readOne(ctx, "ping", selectShardCount, nil, &shards)
	return err
}

// ShardCount returns the number of shards.
func (s *Store) ShardCount() uint32 { return s.shards }

// enter begins a call, and connects before the first one. The caller ends it with Leave.
func (s *Store) enter(ctx context.Context) (*session, error) {
	return s.lifecycle.Enter(ctx, s.Connect)
}

// check returns the error of a call that has nothing to do but may not be made.
func (s *Store) check(ctx context.Context) error { return s.lifecycle.Check(ctx, s.Connect) }
