package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/internal/lifecycle"
)

var (
	_ persistence.EventsStore     = (*Store)(nil)
	_ persistence.SnapshotStore   = (*Store)(nil)
	_ persistence.StateStore      = (*Store)(nil)
	_ persistence.StateClearer    = (*Store)(nil)
	_ persistence.TimerBatchStore = (*Store)(nil)
	_ persistence.Notifier        = (*Store)(nil)
	_ offsetstore.OffsetStore     = (*Store)(nil)
	_ offsetstore.DeadLetterStore = (*Store)(nil)
)

// Store keeps events, states, snapshots, timers, leases, offsets and dead letters in one database. Make one with
// [NewStore]. All methods may be called concurrently.
type Store struct {
	config

	lifecycle *lifecycle.Lifecycle[*session]
}

// NewStore returns a store that works through the client of the caller and never disconnects it. It does not touch the
// server: [Store.Migrate] creates the indexes, [Store.Connect], or the first call without it, checks the layout. Options
// that are out of range are reported by both, as [persistence.ErrInvalidArgument].
func NewStore(client *driver.Client, database string, opts ...Option) *Store {
	return &Store{config: newConfig(client, database, opts), lifecycle: lifecycle.New[*session]()}
}

// Connect checks that the layout of the database is the one that this release works with, and that the store has the
// shard count that it was created with. It fails with [persistence.ShardCountError], or with an [Error] that matches
// [ErrNotMigrated], [ErrNewerLayout] or [ErrUnavailable] when one of them is the reason. Connect is idempotent.
func (s *Store) Connect(ctx context.Context) error {
	return s.lifecycle.Open(ctx, func() (*session, error) {
		opened, err := s.open(ctx)
		return opened, s.fail(ctx, "connect to", err)
	})
}

// Disconnect waits for the calls under way; calls that come later get [persistence.ErrNotConnected]. When ctx ends first,
// Disconnect returns its error. Disconnect is idempotent, and leaves the client connected.
func (s *Store) Disconnect(ctx context.Context) error {
	return s.fail(ctx, "disconnect from", s.lifecycle.Close(ctx, (*session).end, (*session).close))
}

// Ping returns nil when the primary answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "ping", func(ctx context.Context, c *session) error {
		return c.db().RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err()
	})
}

// ShardCount returns the number of shards.
func (s *Store) ShardCount() uint32 { return s.shards }

// enter begins a call, and connects before the first one. The caller ends it with Leave.
func (s *Store) enter(ctx context.Context) (*session, error) {
	return s.lifecycle.Enter(ctx, s.Connect)
}

// check returns the error of a call that has nothing to do but may not be made.
func (s *Store) check(ctx context.Context) error { return s.lifecycle.Check(ctx, s.Connect) }
