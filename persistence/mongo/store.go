package mongo

import (
	"context"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
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

	// lifecycle is held by Connect and Disconnect. It is taken before mu.
	lifecycle chan struct{}

	mu      sync.Mutex
	session *session // nil while not connected
	fresh   bool     // neither Connect nor Disconnect was called yet
}

// NewStore returns a store that works through the client of the caller and never disconnects it. It does not touch the
// server: [Store.Migrate] creates the indexes, [Store.Connect], or the first call without it, checks the layout. Options
// that are out of range are reported by both, as [persistence.ErrInvalidArgument].
func NewStore(client *driver.Client, database string, opts ...Option) *Store {
	return &Store{config: newConfig(client, database, opts), lifecycle: make(chan struct{}, 1), fresh: true}
}

// Connect checks that the layout of the database is the one that this release works with, and that the store has the
// shard count that it was created with. It fails with [persistence.ShardCountError], or with an [Error] that matches
// [ErrNotMigrated], [ErrNewerLayout] or [ErrUnavailable] when one of them is the reason. Connect is idempotent.
func (s *Store) Connect(ctx context.Context) error {
	if err := s.lockLifecycle(ctx); err != nil {
		return err
	}
	defer s.unlockLifecycle()
	if s.current() != nil {
		return nil
	}
	opened, err := s.open(ctx)
	if err != nil {
		return s.fail(ctx, "connect to", err)
	}
	s.mu.Lock()
	s.session, s.fresh = opened, false
	s.mu.Unlock()
	return nil
}

// Disconnect waits for the calls under way; calls that come later get [persistence.ErrNotConnected]. When ctx ends first,
// Disconnect returns its error. Disconnect is idempotent, and leaves the client connected.
func (s *Store) Disconnect(ctx context.Context) error {
	if err := s.lockLifecycle(ctx); err != nil {
		return err
	}
	defer s.unlockLifecycle()
	s.mu.Lock()
	old := s.session
	s.session, s.fresh = nil, false
	s.mu.Unlock()
	if old == nil {
		return nil
	}
	return s.fail(ctx, "disconnect from", old.close(ctx))
}

// Ping returns nil when the primary answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "ping", func(ctx context.Context, c *session) error {
		return c.db().RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err()
	})
}

// ShardCount returns the number of shards.
func (s *Store) ShardCount() uint32 { return s.shards }

// current returns the session, or nil.
func (s *Store) current() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session
}

// enter begins a call, and connects before the first one. The caller ends it with leave.
func (s *Store) enter(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, persistence.DefinitelyNotWritten(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil && s.fresh {
		s.mu.Unlock()
		err := s.Connect(ctx)
		s.mu.Lock()
		if err != nil {
			return nil, persistence.DefinitelyNotWritten(err)
		}
	}
	if s.session == nil {
		return nil, persistence.ErrNotConnected
	}
	s.session.calls.Add(1)
	return s.session, nil
}

// check returns the error of a call that has nothing to do but may not be made.
func (s *Store) check(ctx context.Context) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	c.leave()
	return nil
}

func (s *Store) lockLifecycle(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return persistence.DefinitelyNotWritten(err)
	}
	select {
	case s.lifecycle <- struct{}{}:
		return nil
	case <-ctx.Done():
		return persistence.DefinitelyNotWritten(ctx.Err())
	}
}

func (s *Store) unlockLifecycle() { <-s.lifecycle }
