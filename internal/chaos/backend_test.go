package chaos_test

import (
	"context"
	"database/sql"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

// A row is one line of a read model: an event that a projection has seen.
type row struct {
	projection, entity string
	number, position   uint64
}

// A store is all that the engine needs.
type store interface {
	persistence.EventsStore
	offsetstore.OffsetStore
	offsetstore.DeadLetterStore
}

// A backend is a store with read models beside the journal.
type backend struct {
	store  store
	create func(ctx context.Context) error
	close  func(ctx context.Context) error
	insert func(ctx context.Context, r row) error // in a transaction of its own
	// handler inserts what a function makes of an event in the transaction that commits the offset.
	handler func(rowOf func(event *projection.Event) (row, error)) projection.Handler
	rows    func(ctx context.Context) ([]row, error) // in the order of their insertion
	cut     func(ctx context.Context) error          // cuts some connections
}

// open opens the backend of a target: the path of a file, or what connects to a PostgreSQL.
func open(ctx context.Context, target string) (*backend, error) {
	if strings.HasPrefix(target, "host=") {
		return openPostgres(ctx, target)
	}
	return openFile(ctx, target)
}

func openFile(ctx context.Context, path string) (*backend, error) {
	s, err := sqlite.Open(path)
	if err != nil {
		return nil, err
	}
	insert := func(ctx context.Context, tx *sql.Tx, r row) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO seen (projection, entity, number, position) VALUES (?, ?, ?, ?)`,
			r.projection, r.entity, int64(r.number), int64(r.position))
		return err
	}
	return &backend{
		store: s,
		create: func(ctx context.Context) error {
			return s.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS seen (seq INTEGER PRIMARY KEY AUTOINCREMENT,
					projection TEXT, entity TEXT, number INTEGER, position INTEGER)`)
				return err
			})
		},
		close: s.Disconnect,
		insert: func(ctx context.Context, r row) error {
			return s.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error { return insert(ctx, tx, r) })
		},
		handler: func(rowOf func(event *projection.Event) (row, error)) projection.Handler {
			return sqlite.TxHandler(s, func(ctx context.Context, tx *sql.Tx, event *projection.Event) error {
				r, failure := rowOf(event)
				if err := insert(ctx, tx, r); err != nil {
					return err
				}
				return failure
			})
		},
		rows: func(ctx context.Context) (all []row, err error) {
			found, err := s.DB().QueryContext(ctx, `SELECT projection, entity, number, position FROM seen ORDER BY seq`)
			if err != nil {
				return nil, err
			}
			defer found.Close()
			for found.Next() {
				var r row
				if err := found.Scan(&r.projection, &r.entity, &r.number, &r.position); err != nil {
					return nil, err
				}
				all = append(all, r)
			}
			return all, found.Err()
		},
		cut: func(context.Context) error { return nil },
	}, s.Connect(ctx)
}

func openPostgres(ctx context.Context, url string) (*backend, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	s := postgres.NewStore(pool)
	const insert = `INSERT INTO seen (projection, entity, number, position) VALUES ($1, $2, $3, $4)`
	args := func(r row) []any { return []any{r.projection, r.entity, int64(r.number), int64(r.position)} }
	return &backend{
		store: s,
		create: func(ctx context.Context) error {
			_, err := pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS seen (seq bigserial PRIMARY KEY,
				projection text, entity text, number bigint, position bigint)`)
			return err
		},
		close: func(ctx context.Context) error {
			defer pool.Close()
			return s.Disconnect(ctx)
		},
		insert: func(ctx context.Context, r row) error {
			_, err := pool.Exec(ctx, insert, args(r)...)
			return err
		},
		handler: func(rowOf func(event *projection.Event) (row, error)) projection.Handler {
			return postgres.TxHandler(s, func(ctx context.Context, tx pgx.Tx, event *projection.Event) error {
				r, failure := rowOf(event)
				if _, err := tx.Exec(ctx, insert, args(r)...); err != nil {
					return err
				}
				return failure
			})
		},
		rows: func(ctx context.Context) ([]row, error) {
			found, err := pool.Query(ctx, `SELECT projection, entity, number, position FROM seen ORDER BY seq`)
			if err != nil {
				return nil, err
			}
			return pgx.CollectRows(found, func(scanned pgx.CollectableRow) (r row, err error) {
				err = scanned.Scan(&r.projection, &r.entity, &r.number, &r.position)
				return r, err
			})
		},
		cut: func(ctx context.Context) error {
			_, err := pool.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 3) AS victims`)
			return err
		},
	}, s.Migrate(ctx)
}
