package memory

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

var (
	_ persistence.EventsStore     = (*Store)(nil)
	_ persistence.SnapshotStore   = (*Store)(nil)
	_ persistence.StateStore      = (*Store)(nil)
	_ persistence.TimerStore      = (*Store)(nil)
	_ offsetstore.OffsetStore     = (*Store)(nil)
	_ offsetstore.DeadLetterStore = (*Store)(nil)
)

// Store keeps events, states, snapshots, timers, leases, offsets, dead letters and data keys in memory. Make one with [NewStore].
type Store struct {
	shards    uint32
	connected atomic.Bool

	journal   journal
	states    stateTable
	snapshots snapshotTable
	timers    timerTable
	consumers consumerTable
	keys      *encryption.MemoryKeyStore
}

// NewStore returns an empty store. It is connected, as there is nothing to connect to, unless the shard count is out of
// range: then Connect says so, and every other call is [persistence.ErrNotConnected].
func NewStore(opts ...Option) *Store {
	c := config{shards: persistence.DefaultShards}
	for _, opt := range opts {
		opt.apply(&c)
	}
	s := &Store{shards: c.shards, keys: encryption.NewMemoryKeyStore()}
	shards := min(c.shards, persistence.MaxShards) // Connect refuses more
	s.journal.init(shards)
	s.states.init(shards)
	s.snapshots.init()
	s.timers.init()
	s.consumers.init()
	s.connected.Store(s.checkShards() == nil)
	return s
}

// An Option changes how [NewStore] makes a store.
type Option interface{ apply(*config) }

type config struct{ shards uint32 }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// WithShards sets the number of shards. The default is [persistence.DefaultShards]; Connect rejects zero and more than
// [persistence.MaxShards].
func WithShards(n uint32) Option {
	return optionFunc(func(c *config) { c.shards = n })
}

// Connect makes the store ready. It fails with [persistence.ErrInvalidArgument] when the shard count is out of range.
func (s *Store) Connect(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return persistence.DefinitelyNotWritten(err)
	}
	if err := s.checkShards(); err != nil {
		return err
	}
	s.connected.Store(true)
	return nil
}

func (s *Store) checkShards() error {
	if s.shards == 0 || s.shards > persistence.MaxShards {
		return fmt.Errorf("%w: %d shards, want 1 to %d", persistence.ErrInvalidArgument, s.shards, persistence.MaxShards)
	}
	return nil
}

// Disconnect makes every call but Connect fail with [persistence.ErrNotConnected]. The data stays.
func (s *Store) Disconnect(context.Context) error {
	s.connected.Store(false)
	return nil
}

// Ping returns nil while the store is connected.
func (s *Store) Ping(ctx context.Context) error { return s.ready(ctx) }

// ShardCount returns the number of shards.
func (s *Store) ShardCount() uint32 { return s.shards }

// ready returns the error of a call that may not proceed. Every call starts with it, before it touches anything.
func (s *Store) ready(ctx context.Context) error {
	if !s.connected.Load() {
		return persistence.ErrNotConnected
	}
	return persistence.DefinitelyNotWritten(ctx.Err())
}

// checkPage returns the error for the arguments of a read of a shard.
func (s *Store) checkPage(shard uint32, limit int) error {
	if shard >= s.shards {
		return fmt.Errorf("%w: shard %d of %d", persistence.ErrInvalidArgument, shard, s.shards)
	}
	if limit < 1 {
		return fmt.Errorf("%w: limit %d is below one", persistence.ErrInvalidArgument, limit)
	}
	return nil
}
