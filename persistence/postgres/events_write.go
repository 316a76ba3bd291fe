package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

const (
	// refusedRun is the first run of a batch that does not continue what is stored. The statement's own snapshot is
	// enough to find a gap: whoever expects number n has seen n-1 committed, and rows never go away. A writer that is
	// faster than the snapshot shows breaks the primary key.
	refusedRun = `SELECT r.persistence_id, r.first, coalesce(e.sequence_number, 0) AS highest
		FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS r (persistence_id, first, place)
		LEFT JOIN LATERAL (SELECT e.sequence_number FROM ego.events e WHERE e.persistence_id = r.persistence_id
			ORDER BY e.sequence_number DESC LIMIT 1) e ON true
		WHERE coalesce(e.sequence_number, 0) <> r.first - 1
		ORDER BY r.place LIMIT 1`

	// appendEvents writes a batch, or nothing when a run is refused, which it then returns. It takes the counters in the
	// order of the shards, so that writers cannot wait for each other in a circle, and holds them until the commit, so
	// that positions become visible in order. Should a counter be missing, the position is NULL, which fails.
	appendEvents = `WITH refused AS (` + refusedRun + `), held AS (
			SELECT s.shard FROM ego.event_shards s
			WHERE s.shard = ANY ($3::integer[]) AND NOT EXISTS (SELECT FROM refused)
			ORDER BY s.shard FOR NO KEY UPDATE
		), advanced AS (
			UPDATE ego.event_shards s SET position = s.position + n.count
			FROM held h JOIN unnest($3::integer[], $4::bigint[]) AS n (shard, count) ON n.shard = h.shard
			WHERE s.shard = h.shard
			RETURNING s.shard, s.position - n.count AS base
		), inserted AS (
			INSERT INTO ego.events (persistence_id, sequence_number, shard, position, time_unix_nano, kind, payload, type_url,
				tags, metadata, command_id, correlation_id, causation_id, traceparent, tracestate, key_id, writer_id,
				schema_version)
			SELECT e.persistence_id, e.sequence_number, e.shard, a.base + e.place, e.time_unix_nano, e.kind, e.payload, e.type_url,
				e.tags::text[], e.metadata::jsonb, e.command_id, e.correlation_id, e.causation_id, e.traceparent, e.tracestate,
				e.key_id, e.writer_id, e.schema_version
			FROM unnest($5::text[], $6::bigint[], $7::integer[], $8::bigint[], $9::bigint[], $10::text[], $11::bytea[],
				$12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[],
				$20::text[], $21::text[], $22::bigint[])
				AS e (persistence_id, sequence_number, shard, place, time_unix_nano, kind, payload, type_url, tags, metadata,
					command_id, correlation_id, causation_id, traceparent, tracestate, key_id, writer_id, schema_version)
			LEFT JOIN advanced a ON a.shard = e.shard
			WHERE NOT EXISTS (SELECT FROM refused)
		)
		SELECT r.persistence_id, r.first, r.highest FROM (VALUES (1)) AS always LEFT JOIN refused r ON true`
)

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
	args := b.args()
	err = s.write(ctx, "write events to", func(ctx context.Context, conn *pgx.Conn) error {
		return s.append(ctx, conn, args)
	})
	if err == nil {
		s.committed()
	}
	return err
}

func (s *Store) append(ctx context.Context, conn *pgx.Conn, args []any) error {
	var (
		id             *string
		first, highest *uint64
	)
	err := verdict(ctx, conn, s.sql(appendEvents), args, &id, &first, &highest)
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
	if c := s.current(); c != nil {
		c.notifier.committed()
	}
}
