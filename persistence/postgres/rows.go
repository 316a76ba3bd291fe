package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/persistence"
)

// each calls scan for each row of a query.
func each(ctx context.Context, conn *pgx.Conn, query string, args []any, scan func(rows pgx.Rows) error) error {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// one reads the only row of a query, and reports whether there is one.
func one(ctx context.Context, conn *pgx.Conn, query string, args []any, dest ...any) (found bool, err error) {
	err = each(ctx, conn, query, args, func(rows pgx.Rows) error {
		found = true
		return rows.Scan(dest...)
	})
	return found, err
}

// read calls scan for each row of a query. When the connection is lost, begin is called and the query runs once more.
func (s *Store) read(ctx context.Context, op, query string, args []any, begin func(), scan func(rows pgx.Rows) error) error {
	return s.call(ctx, op, true, func(ctx context.Context, conn *pgx.Conn) error {
		begin()
		return each(ctx, conn, s.sql(query), args, scan)
	})
}

// readOne reads the only row of a query, and reports whether there is one.
func (s *Store) readOne(ctx context.Context, op, query string, args []any, dest ...any) (found bool, err error) {
	err = s.call(ctx, op, true, func(ctx context.Context, conn *pgx.Conn) error {
		found, err = one(ctx, conn, s.sql(query), args, dest...)
		return err
	})
	return found, err
}

// readAll returns what scan makes of the rows of a query.
func readAll[T any](ctx context.Context, s *Store, op, query string, args []any, scan func(rows pgx.Rows) (T, error)) ([]T, error) {
	var all []T
	err := s.read(ctx, op, query, args, func() { all = nil }, func(rows pgx.Rows) error {
		value, err := scan(rows)
		all = append(all, value)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// exec runs a statement that writes.
func (s *Store) exec(ctx context.Context, op, query string, args ...any) error {
	return s.write(ctx, op, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, s.sql(query), args...)
		return err
	})
}

// marshal serializes a record of an entity.
func marshal(id string, message proto.Message) ([]byte, error) {
	record, err := proto.Marshal(message)
	if err != nil {
		return nil, &persistence.InvalidRecordError{PersistenceID: id, Reason: err.Error()}
	}
	if len(record) > maxRecord {
		return nil, tooLarge(id, len(record))
	}
	return record, nil
}

// verdict is [one] for a statement that writes and always returns a row. The row comes before the commit. So a server that
// ends the connection with a word of its own, and has not sent the row, has not committed either.
func verdict(ctx context.Context, conn *pgx.Conn, query string, args []any, dest ...any) error {
	found, err := one(ctx, conn, query, args, dest...)
	if err != nil && !found && sqlState(err) == codeAdminShutdown {
		return &uncommittedError{err}
	}
	return err
}

// An uncommittedError is the error of a statement that is known not to have been committed.
type uncommittedError struct{ err error }

func (e *uncommittedError) Error() string { return e.err.Error() }
func (e *uncommittedError) Unwrap() error { return e.err }
