package sqlite

import (
	"context"
	"database/sql"
	"sync"

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

// Store keeps events, states, snapshots, timers, leases, offsets and dead letters in one SQLite file. Make one with
// [Open]. All methods may be called concurrently.
type Store struct {
	config

	// lifecycle is held by Connect and Disconnect. It is taken before mu.
	lifecycle chan struct{}

	mu      sync.Mutex
	session *session // nil while not connected
	fresh   bool     // neither Connect nor Disconnect was called yet
	closed  *sql.DB  // what DB returns while not connected
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
	return &Store{config: config, lifecycle: make(chan struct{}, 1), fresh: true, closed: closed}, nil
}

// Connect opens the file, creates it when there is none, and brings its schema up to date; any number of processes may
// do so at once. It fails with [persistence.ShardCountError] when the file has another shard count, and otherwise with an
// [Error] that names the path and matches [ErrLocked], [ErrForeignFile], [ErrNewerSchema] or [ErrNotWritable] when one
// of them is the reason. A lock of somebody else is waited for as long as [WithBusyTimeout] says. Connect is idempotent.
func (s *Store) Connect(ctx context.Context) error {
	if err := s.lockLifecycle(ctx); err != nil {
		return err
	}
	defer s.unlockLifecycle()
	if s.current() != nil {
		return nil
	}
	opened, err := openSession(ctx, &s.config)
	if err != nil {
		return s.fail("connect to", err)
	}
	s.mu.Lock()
	s.session, s.fresh = opened, false
	s.mu.Unlock()
	return nil
}

// Disconnect waits for the calls under way and closes the file; calls that come later get [persistence.ErrNotConnected].
// When ctx ends first, Disconnect returns its error and the file is closed as soon as those calls return. Disconnect is
// idempotent.
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
	done := make(chan error, 1)
	go func() {
		old.calls.Wait()
		done <- old.close()
	}()
	select {
	case err := <-done:
		return s.fail("disconnect from", err)
	case <-ctx.Done():
		return s.fail("disconnect from", ctx.Err())
	}
}

// Ping reads from the file and returns nil when that works and the path still names it.
func (s *Store) Ping(ctx context.Context) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.leave()
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
	defer c.leave()
	return c.user
}

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
