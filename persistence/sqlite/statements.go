package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// statements are prepared on every connection of a pool that runs them. The keys are their texts.
type statements struct {
	db       *sql.DB
	prepared map[string]*sql.Stmt
}

// writeStatements and readStatements are the ones worth preparing: those on the paths of commands and replays.
var (
	writeStatements = []string{ //nolint:gochecknoglobals // immutable
		insertEvent, insertNextEvent, selectLastNumber, selectLastPlace, selectLastPlaces,
		selectState, selectRevision, insertState, updateState, selectLastStatePlace,
		upsertSnapshot, selectLease, upsertOffset, selectOffset,
	}
	readStatements = []string{ //nolint:gochecknoglobals // immutable
		selectShards, selectLatestEvent, selectReplay, selectShardEvents,
		selectLatestState, selectShardStates, selectSnapshot, selectDueTimer, selectNextTimer,
		selectDataKeys,
	}
)

func prepare(ctx context.Context, db *sql.DB, queries []string) (statements, error) {
	s := statements{db: db, prepared: make(map[string]*sql.Stmt, len(queries))}
	for _, query := range queries {
		stmt, err := db.PrepareContext(ctx, query) //nolint:sqlclosecheck // closed with the session
		if err != nil {
			return s, fmt.Errorf("prepare %q: %w", query, err)
		}
		s.prepared[query] = stmt
	}
	return s, nil
}

func (s statements) close() error {
	var errs []error
	for _, stmt := range s.prepared {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

func (s statements) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := s.prepared[query]; stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return s.db.QueryContext(ctx, query, args...)
}

func (s statements) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := s.prepared[query]; stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return s.db.QueryRowContext(ctx, query, args...)
}

// read calls scan for each row of a query.
func (s *Store) read(ctx context.Context, op, query string, scan func(rows *sql.Rows) error, args ...any) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.Leave()
	rows, err := c.reads.query(ctx, query, args...)
	if err != nil {
		return s.fail(op, err)
	}
	return s.fail(op, each(rows, scan))
}

// errEnough ends the reading of rows without an error.
var errEnough = errors.New("enough")

// each calls scan for each row and closes the rows.
func each(rows *sql.Rows, scan func(rows *sql.Rows) error) error {
	for rows.Next() {
		if err := scan(rows); errors.Is(err, errEnough) {
			return rows.Close()
		} else if err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// readOne reads the only row of a query, and reports whether there is one.
func (s *Store) readOne(ctx context.Context, op, query string, args []any, dest ...any) (bool, error) {
	found := false
	err := s.read(ctx, op, query, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(dest...)
	}, args...)
	return found, err
}
