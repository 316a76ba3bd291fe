package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// refusedRun is the first run of a batch that does not continue what is stored. The statement's own snapshot is
// enough to find a gap: whoever expects number n has seen n-1 committed, and rows never go away. A writer that is
// faster than the snapshot shows breaks the primary key.
const refusedRun = `SELECT r.persistence_id, r.first, coalesce(e.sequence_number, 0) AS highest
		FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS r (persistence_id, first, place)
		LEFT JOIN LATERAL (SELECT e.sequence_number FROM ego.events e WHERE e.persistence_id = r.persistence_id
			ORDER BY e.sequence_number DESC LIMIT 1) e ON true
		WHERE coalesce(e.sequence_number, 0) <> r.first - 1
		ORDER BY r.place LIMIT 1`

// WriteEvents implements [persistence.EventsStore]. A batch is one statement, which is a transaction of its own, so it
// takes one round trip and holds no lock while it travels. An event with a text that PostgreSQL cannot keep, such as a
// command id with a zero byte, is a [persistence.InvalidRecordError].
func (s *Store) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	runs, err := persistence.Runs(events)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return s.check(ctx)
	}
	b, err := newBatch(events, runs, s.shards)
	if err != nil {
		return err
	}
	filled, args := b.args()
	err = s.write(ctx, "write events to", func(ctx context.Context, conn *pgx.Conn) error {
		return s.append(ctx, conn, s.appends[filled], args)
	})
	if err == nil {
		s.committed()
	}
	return err
}

func (s *Store) append(ctx context.Context, conn *pgx.Conn, statement string, args []any) error {
	var (
		id             *string
		first, highest *uint64
	)
	err := verdict(ctx, conn, s.sql(statement), args, &id, &first, &highest)
	if sqlState(err) == codeUniqueViolation {
		return s.raced(ctx, conn, args, err)
	}
	if err != nil || id == nil {
		return err
	}
	return &persistence.ConflictError{PersistenceID: *id, Expected: *first, Actual: *highest}
}

// raced finds out which entity of a batch another writer was faster with. The server has rolled the batch back.
func (s *Store) raced(ctx context.Context, conn *pgx.Conn, args []any, cause error) error {
	conflict := new(persistence.ConflictError)
	found, err := one(ctx, conn, s.sql(refusedRun), args[:2], &conflict.PersistenceID, &conflict.Expected, &conflict.Actual)
	switch {
	case err != nil:
		return &uncommittedError{err}
	case !found:
		return cause
	default:
		return conflict
	}
}

// committed tells listeners of a commit.
func (s *Store) committed() {
	if c := s.lifecycle.Current(); c != nil {
		c.notifier.committed()
	}
}
