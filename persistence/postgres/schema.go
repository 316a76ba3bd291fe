package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/persistence"
)

// migrations are applied in order of their names; the n-th brings a schema to version n and records that itself. A
// released one never changes.
//
//go:embed migrations/*.sql
var migrations embed.FS

// Migrations returns the migrations as files of plain SQL, 0001.sql and so on, for those who run their own. Each is
// written for a search path that begins with the schema of the store.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // they are part of the program
	}
	return sub
}

const (
	lockMigrations = `SELECT pg_advisory_xact_lock(hashtextextended('ego migrate ' || $1, 0))`
	schemaExists   = `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`

	// The schema's own tables, and how many objects have names that the store wants.
	selectTables = `SELECT to_regclass('ego.migrations') IS NOT NULL, (SELECT count(*) FROM pg_catalog.pg_class c
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relname IN ('events', 'states', 'snapshots', 'store'))`
	selectVersion = `SELECT coalesce(max(version), 0) FROM ego.migrations`

	insertStore  = `INSERT INTO ego.store (id, shards) VALUES (1, $1) ON CONFLICT DO NOTHING`
	insertShards = `WITH shards AS (SELECT generate_series(0, shards - 1) AS shard FROM ego.store),
		events AS (INSERT INTO ego.event_shards (shard, position) SELECT shard, 0 FROM shards ON CONFLICT DO NOTHING)
		INSERT INTO ego.state_shards (shard, position) SELECT shard, 0 FROM shards ON CONFLICT DO NOTHING`
)

// Migrate creates the schema and its tables, or brings them up to date, in one transaction, and records the shard count.
// Any number of processes may do so at once: one does the work under an advisory lock, the others find it done. It never
// goes back: [ErrNewerSchema] reports a schema that a later release has migrated. It needs no Connect.
//
// The role needs CREATE on the database, unless the schema exists, and CREATE on the schema. To run the migrations in
// another way see [Migrations].
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.validate(); err != nil {
		return err
	}
	return s.fail("migrate", pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockMigrations, s.schema); err != nil {
			return err
		}
		if err := s.createSchema(ctx, tx); err != nil {
			return err
		}
		if err := s.applyMigrations(ctx, tx); err != nil {
			return err
		}
		return s.initialize(ctx, tx)
	}))
}

func (s *Store) createSchema(ctx context.Context, tx pgx.Tx) error {
	var exists bool
	if err := tx.QueryRow(ctx, schemaExists, s.schema).Scan(&exists); err != nil || exists {
		return err
	}
	_, err := tx.Exec(ctx, "CREATE SCHEMA "+s.quotedSchema())
	return err
}

func (s *Store) applyMigrations(ctx context.Context, tx pgx.Tx) error {
	version, err := s.version(ctx, tx)
	steps := migrationTexts()
	if err != nil {
		return err
	}
	if version > len(steps) {
		return s.versionError(version, len(steps))
	}
	for i, step := range steps[version:] {
		number := version + i + 1
		// A text without parameters may hold several statements. The search path ends with the transaction.
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+s.quotedSchema()+", pg_catalog;\n"+step); err != nil {
			return fmt.Errorf("migration %d: %w", number, err)
		}
		if now, err := s.version(ctx, tx); err != nil || now != number {
			return errors.Join(fmt.Errorf("migration %d left version %d", number, now), err)
		}
	}
	return nil
}

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// version returns the version of the schema, zero when it has no tables.
func (s *Store) version(ctx context.Context, db querier) (version int, err error) {
	var (
		migrated bool
		objects  int
	)
	if err := db.QueryRow(ctx, s.sql(selectTables), s.schema).Scan(&migrated, &objects); err != nil {
		return 0, err
	}
	switch {
	case migrated:
		err = db.QueryRow(ctx, s.sql(selectVersion)).Scan(&version)
	case objects > 0:
		err = &Error{Op: "use", Schema: s.schema, Reason: ErrForeignSchema}
	}
	return version, err
}

func (s *Store) versionError(version, known int) error {
	why := ErrNotMigrated
	if version > known {
		why = ErrNewerSchema
	}
	return &Error{Op: "use", Schema: s.schema, Reason: why,
		Err: fmt.Errorf("it has version %d, this release works with %d", version, known)}
}

// initialize records the shard count and creates the counters, once.
func (s *Store) initialize(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, s.sql(insertStore), s.shards); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, s.sql(insertShards)); err != nil {
		return err
	}
	return s.checkShards(ctx, tx)
}

func (s *Store) checkShards(ctx context.Context, db querier) error {
	var stored uint32
	if err := db.QueryRow(ctx, s.sql(selectShardCount)).Scan(&stored); err != nil {
		return err
	}
	if stored != s.shards {
		return fmt.Errorf("postgres: use schema %s: %w", s.schema, &persistence.ShardCountError{Stored: stored, Configured: s.shards})
	}
	return nil
}

// prepare is what Connect checks. It writes only to a store whose migrations were run by somebody else.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.validate(); err != nil {
		return err
	}
	version, err := s.version(ctx, s.pool)
	if err != nil {
		return err
	}
	if known := len(migrationTexts()); version != known {
		return s.versionError(version, known)
	}
	err = s.checkShards(ctx, s.pool)
	if errors.Is(err, pgx.ErrNoRows) {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.initialize(ctx, tx) })
	}
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
