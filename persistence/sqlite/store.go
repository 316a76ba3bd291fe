package sqlite

import (
	"context"
	"database/sql"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/internal/lifecycle"
)

var (
	_ persistence.EventsStore     = (*Store)(nil)
	_ persistence.SnapshotStore   = (*Store)(nil)
	_ persistence.StateStore      = (*Store)(nil)
	_ persistence.TimerStore      = (*Store)(nil)
	_ offsetstore.OffsetStore     = (*Store)(nil)
	_ offsetstore.DeadLetterStore = (*Store)(nil)
)

// Store keeps events, states, snapshots, timers, leases, offsets and dead letters in one SQLite file. Make one with
// [Open]. All methods may be called concurrently.
type Store struct {
	config

	lifecycle *lifecycle.Lifecycle[*session]
	closed    *sql.DB // what DB returns while not connected
}

// Open checks the path and the options; it does not touch the file, which [Store.Connect], or the first call without it,
// opens or creates. A relative
// path is taken from the directory that the process is in now. The error matches [persistence.ErrInvalidArgument].
func Open(path string, opts ...Option) (*Store, error) {
	config, err := newConfig(path, opts)
	if err != nil {
		return nil, err
	}
	connector, err := config.connect(forReading(config.busyTimeout))
	if err != nil {
		return nil, config.fail("open", err)
	}
	closed := sql.OpenDB(connector)
	if err := closed.Close(); err != nil {
		return nil, config.fail("open", err)
	}
	return &Store{config: config, lifecycle: lifecycle.New[*session](), closed: closed}, nil
}

// Connect opens the file, creates it when there is none, and brings its schema up to date; any number of processes may
// do so at once. It fails with [persistence.ShardCountError] when the file has another shard count, and otherwise with an
// [Error] that names the path and matches [ErrLocked], [ErrForeignFile], [ErrNewerSchema] or [ErrNotWritable] when one
// of them is the reason. A lock of somebody else is waited for as long as [WithBusyTimeout] says. Connect is idempotent.
func (s *Store) Connect(ctx context.Context) error {
	return s.lifecycle.Open(ctx, func() (*session, error) {
		opened, err := openSession(ctx, &s.config)
		return opened, s.fail("connect to", err)
	})
}

// Disconnect waits for the calls under way and closes the file; calls that come later get [persistence.ErrNotConnected].
// When ctx ends first, Disconnect returns its error and the file is closed as soon as those calls return. Disconnect is
// idempotent.
func (s *Store) Disconnect(ctx context.Context) error {
	return s.fail("disconnect from", s.lifecycle.Close(ctx, (*session).end, (*session).close))
}

// Ping reads from the file and returns nil when that works and the path still names it.
func (s *Store) Ping(ctx context.Context) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.Leave()
	if err := c.checkFile(); err != nil {
		return s.fail("ping", err)
	}
	var shards uint32
	return s.fail("ping", c.reads.queryRow(ctx, selectShards).Scan(&shards))
}

// ShardCount returns the number of shards.
func (s *Store) ShardCount() uint32 { return s.shards }

// DB returns a read-only pool on the file, for reading beside the journal: read models that share the file, or the
// tables of the store itself, whose names begin with ego_ and whose layout may change between releases. It sees what is
// committed. What it reads never blocks a writer, but a transaction or rows that stay open keep the write-ahead log from
// being recycled.
//
// The pool lives from Connect to Disconnect, which closes it; outside of that, DB returns a closed one.
func (s *Store) DB() *sql.DB {
	c, err := s.enter(context.Background())
	if err != nil {
		return s.closed
	}
	defer c.Leave()
	return c.user
}

// enter begins a call, and connects before the first one. The caller ends it with Leave.
func (s *Store) enter(ctx context.Context) (*session, error) {
	return s.lifecycle.Enter(ctx, s.Connect)
}

// check returns the error of a call that has nothing to do but may not be made.
func (s *Store) check(ctx context.Context) error { return s.lifecycle.Check(ctx, s.Connect) }
