package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/actorkeep/ego/persistence"
)

const (
	selectDeletedTo = `SELECT to_sequence_number FROM ego_deletions WHERE persistence_id = ?`

	selectNextDeletion = `SELECT place, sequence_number, kind FROM ego_events
		WHERE persistence_id = ? AND sequence_number > ? AND sequence_number <= ?
		ORDER BY sequence_number LIMIT ?`

	deleteEvents = `DELETE FROM ego_events WHERE persistence_id = ? AND sequence_number > ? AND sequence_number <= ?`

	upsertDeletedTo = `INSERT INTO ego_deletions (persistence_id, to_sequence_number) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET to_sequence_number = excluded.to_sequence_number`
)

// deletionStep is how many events one transaction deletes, so that writers get their turn between two of them.
const deletionStep = 500

// DeleteEvents implements [persistence.EventsStore]. A large deletion takes several transactions. When a later one fails,
// what the earlier ones deleted stays deleted, and [persistence.NotWritten] does not hold for the error.
func (s *Store) DeleteEvents(ctx context.Context, persistenceID string, toSequenceNumber uint64) error {
	for step := 0; ; step++ {
		more := false
		err := s.write(ctx, write{op: "delete events from", run: func(_ context.Context, t *tx) (err error) {
			more, err = deleteSome(t, persistenceID, number(toSequenceNumber))
			return err
		}})
		switch {
		case err != nil && step > 0:
			return &partialError{err}
		case err != nil || !more:
			return err
		}
	}
}

// A deletion is an event that becomes a tombstone.
type deletion struct {
	place, number int64
	kind          string
}

// deleteSome deletes the next events up to a number, and reports whether there may be more.
//
// It deletes the rows and inserts the tombstones, rather than updating: on a deletion SQLite joins pages that have become
// nearly empty and frees the rest for any use. An update, and a REPLACE too, leaves the space within its page, where
// nothing is ever added again.
func deleteSome(t *tx, id string, to int64) (more bool, err error) {
	var from int64
	if _, err := t.queryOne(selectDeletedTo, []any{id}, &from); err != nil {
		return false, err
	}
	var next []deletion
	err = t.query(selectNextDeletion, func(rows *sql.Rows) error {
		var d deletion
		err := rows.Scan(&d.place, &d.number, &d.kind)
		next = append(next, d)
		return err
	}, id, from, to, deletionStep)
	if err != nil || len(next) == 0 {
		return false, err
	}
	end := next[len(next)-1].number
	if err := t.exec(deleteEvents, id, from, end); err != nil {
		return false, err
	}
	for _, d := range next {
		if err := t.exec(insertEvent, d.place, id, d.number, d.kind, nil); err != nil {
			return false, err
		}
	}
	return len(next) == deletionStep, t.exec(upsertDeletedTo, id, end)
}

// A partialError is the error of a call that did some of its work before. It matches what err matches, but does not say
// that nothing was written, whatever err says.
type partialError struct{ err error }

func (e *partialError) Error() string { return "partly done: " + e.err.Error() }

// Is reports whether err matches target.
func (e *partialError) Is(target error) bool {
	return errors.Is(e.err, target) && !persistence.NotWritten(target)
}
