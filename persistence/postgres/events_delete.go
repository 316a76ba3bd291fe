package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/persistence"
)

// eraseEvents turns the next events of an entity into tombstones and remembers how far that is.
const eraseEvents = `WITH next AS (
		SELECT e.sequence_number FROM ego.events e WHERE e.persistence_id = $1 AND e.sequence_number <= $2 AND e.sequence_number >
			coalesce((SELECT to_sequence_number FROM ego.deletions WHERE persistence_id = $1), 0)
		ORDER BY e.sequence_number LIMIT $3
	), erased AS (
		UPDATE ego.events e SET deleted = true, time_unix_nano = 0, type_url = NULL, payload = NULL, tags = NULL,
			metadata = NULL, command_id = NULL, correlation_id = NULL, causation_id = NULL, traceparent = NULL,
			tracestate = NULL, key_id = NULL, writer_id = NULL, schema_version = NULL
		FROM next WHERE e.persistence_id = $1 AND e.sequence_number = next.sequence_number
		RETURNING e.sequence_number
	), marked AS (
		INSERT INTO ego.deletions AS d (persistence_id, to_sequence_number)
		SELECT $1, max(sequence_number) FROM erased HAVING count(*) > 0
		ON CONFLICT (persistence_id) DO UPDATE
			SET to_sequence_number = greatest(d.to_sequence_number, excluded.to_sequence_number)
	)
	SELECT count(*) FROM erased`

// deletionStep is how many events one transaction deletes, so that it holds no more than that back for long.
const deletionStep = 500

// DeleteEvents implements [persistence.EventsStore]. A large deletion takes several transactions. When a later one fails,
// what the earlier ones deleted stays deleted, and [persistence.NotWritten] does not hold for the error.
func (s *Store) DeleteEvents(ctx context.Context, persistenceID string, toSequenceNumber uint64) error {
	if !isText(persistenceID) {
		return s.check(ctx)
	}
	for step := 0; ; step++ {
		erased := 0
		err := s.write(ctx, "delete events from", func(ctx context.Context, conn *pgx.Conn) error {
			args := []any{persistenceID, number(toSequenceNumber), deletionStep}
			return verdict(ctx, conn, s.sql(eraseEvents), args, &erased)
		})
		switch {
		case err != nil && step > 0:
			return &partialError{err}
		case err != nil || erased < deletionStep:
			return err
		}
	}
}

// A partialError is the error of a call that did some of its work before. It matches what err matches, but does not say
// that nothing was written, whatever err says.
type partialError struct{ err error }

func (e *partialError) Error() string { return "partly done: " + e.err.Error() }

// Is reports whether err matches target.
func (e *partialError) Is(target error) bool {
	return errors.Is(e.err, target) && !persistence.NotWritten(target)
}
