package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/actorkeep/ego/persistence"
)

// applicationID marks a file as an ego store: "ego" and 1, the version of the layout of this header.
const applicationID = 0x65676f01

// migrations are applied in order of their names; PRAGMA user_version counts how many of them a file has seen. A released
// one never changes.
//
//go:embed migrations/*.sql
var migrations embed.FS

const (
	selectShards = `SELECT shards FROM ego_meta`
	insertMeta   = `INSERT INTO ego_meta (id, shards, epoch, timer_version, fences) VALUES (1, ?, 0, 0, 0)`
)

// A header is what tells a file of ours from others.
type header struct {
	applicationID int64
	version       int
	objects       int // tables, indexes and so on
}

// prepareFile refuses a file that is not ours before it changes anything, and brings one that is ours up to date.
func (s *session) prepareFile(ctx context.Context) error {
	steps := migrationTexts()
	if err := s.whileLocked(ctx, func() error { return s.inspect(ctx, len(steps)) }); err != nil {
		return err
	}
	if err := s.whileLocked(ctx, func() error { return s.enterWAL(ctx) }); err != nil {
		return err
	}
	return s.whileLocked(ctx, func() error { return s.migrate(ctx, steps) })
}

func (s *session) inspect(ctx context.Context, known int) error {
	h, err := readHeader(ctx, s.writer)
	if err != nil {
		return err
	}
	return s.checkHeader(h, known)
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readHeader(ctx context.Context, db querier) (h header, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&h.applicationID); err != nil {
		return h, err
	}
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&h.version); err != nil {
		return h, err
	}
	return h, db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&h.objects)
}

func (c *config) checkHeader(h header, known int) error {
	fresh := h == header{}
	switch {
	case h.applicationID != applicationID && !fresh:
		return &Error{Op: "connect to", Path: c.path, Reason: ErrForeignFile,
			Err: fmt.Errorf("it is a database of application %#x with %d objects", h.applicationID, h.objects)}
	case h.version > known:
		return &Error{Op: "connect to", Path: c.path, Reason: ErrNewerSchema,
			Err: fmt.Errorf("its schema has version %d, this release knows %d", h.version, known)}
	default:
		return nil
	}
}

// enterWAL switches the file to the write-ahead log. SQLite says what mode the file has then, and is not to be trusted
// unasked: some file systems cannot have one.
func (s *session) enterWAL(ctx context.Context) error {
	var mode string
	if err := s.writer.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the journal mode stays %q, want a write-ahead log", mode)
	}
	return nil
}

// migrate applies what the file lacks and checks the shard count, in one transaction. It takes the write lock even when
// there is nothing to apply, and so finds out that the file can be written.
func (s *session) migrate(ctx context.Context, steps []string) (err error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreDone(tx.Rollback()))
		}
	}()
	h, err := readHeader(ctx, tx)
	if err != nil {
		return err
	}
	if err := s.checkHeader(h, len(steps)); err != nil { // somebody else was faster
		return err
	}
	if err := s.applySteps(ctx, tx, h, steps); err != nil {
		return err
	}
	var stored uint32
	if err := tx.QueryRowContext(ctx, selectShards).Scan(&stored); err != nil {
		return err
	}
	if stored != s.shards {
		return fmt.Errorf("sqlite: connect to %s: %w", s.path, &persistence.ShardCountError{Stored: stored, Configured: s.shards})
	}
	return tx.Commit()
}

func (s *session) applySteps(ctx context.Context, tx *sql.Tx, h header, steps []string) error {
	for i, step := range steps[h.version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return fmt.Errorf("migration %d: %w", h.version+i+1, err)
		}
	}
	if h.version == 0 {
		if _, err := tx.ExecContext(ctx, insertMeta, s.shards); err != nil {
			return err
		}
	}
	if h.version == len(steps) {
		return nil
	}
	// A pragma takes no parameters; both values are constants of this release.
	_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(steps)))
	return err
}

// migrationTexts returns the migrations in order. They are part of the program, so an error is a mistake in it.
func migrationTexts() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err)
	}
	texts := make([]string, len(names))
	for i, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			panic(err)
		}
		texts[i] = string(text)
	}
	return texts
}

// ignoreDone drops the error of rolling back a transaction that is over.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
