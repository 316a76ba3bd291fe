package sqlite

import (
	"bytes"
	"cmp"
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

const (
	// OR FAIL leaves a row that broke a constraint to the rollback of the transaction, which follows anyway. The default
	// would have SQLite copy every page to a statement journal before it changes it.
	insertEvent = `INSERT OR FAIL INTO ego_events (place, persistence_id, sequence_number, kind, record)
		VALUES (?, ?, ?, ?, ?)`
	selectEventExists = `SELECT 1 FROM ego_events WHERE persistence_id = ? AND sequence_number = ?`
	selectLastNumber  = `SELECT sequence_number FROM ego_events WHERE persistence_id = ?
		ORDER BY sequence_number DESC LIMIT 1`
	selectLastPlace = `SELECT place FROM ego_events WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1`
	selectRecordAt  = `SELECT record FROM ego_events WHERE place = ?`
)

// WriteEvents implements [persistence.EventsStore].
func (s *Store) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	runs, err := persistence.Runs(events)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return s.check(ctx)
	}
	a := &appending{shards: s.shards, events: events, runs: runs, heads: heads{query: selectLastPlace}}
	return s.write(ctx, write{op: "write events to", run: a.run, stored: a.stored})
}

// An appending is one call of WriteEvents.
//
// The events go in one by one by a prepared statement: with this driver, rows of 1,000 in one INSERT are no faster (SQLite
// stages them in a temporary table) and their statements would have to be made for each size.
type appending struct {
	shards uint32
	events []*egopb.Event
	runs   []persistence.Run
	heads  heads
	buffer []byte // of the record at hand

	firstPlace  int64
	firstRecord []byte // a copy: the caller may be gone when stored asks
}

func (a *appending) run(ctx context.Context, t *tx) error {
	runs := a.runs
	for i, event := range a.events {
		if err := checkEvery(ctx, i); err != nil {
			return err
		}
		id, number := event.GetPersistenceId(), event.GetSequenceNumber()
		if len(runs) > 0 && runs[0].PersistenceID == id && runs[0].First == number {
			runs = runs[1:]
			if err := checkContinues(t, id, number); err != nil {
				return err
			}
		}
		if err := a.insert(t, event); err != nil {
			return err
		}
	}
	return nil
}

// checkContinues refuses a run that would leave a gap. One that overlaps what is stored breaks the unique index when it is
// inserted, so a run that begins an entity needs no query at all.
func checkContinues(t *tx, id string, first uint64) error {
	if first == 1 {
		return nil
	}
	var one int
	found, err := t.queryOne(selectEventExists, []any{id, number(first - 1)}, &one)
	if err != nil || found {
		return err
	}
	return conflict(t, id, first)
}

func (a *appending) insert(t *tx, event *egopb.Event) error {
	id := event.GetPersistenceId()
	record, err := proto.MarshalOptions{}.MarshalAppend(a.buffer[:0], event)
	if err != nil {
		return &persistence.InvalidRecordError{PersistenceID: id, Reason: err.Error()}
	}
	a.buffer = record
	place, err := a.heads.next(t, persistence.ShardOf(id, a.shards))
	if err != nil {
		return err
	}
	if a.firstRecord == nil {
		a.firstPlace, a.firstRecord = place, bytes.Clone(record)
	}
	err = t.exec(insertEvent, place, id, number(event.GetSequenceNumber()), event.GetKind(), record)
	if primaryCode(err) == codeConstraint {
		return cmp.Or(conflict(t, id, event.GetSequenceNumber()), err)
	}
	return tooLarge(id, record, err)
}

// conflict returns the error for a number that does not follow the highest stored one, or nil when it does.
func conflict(t *tx, id string, expected uint64) error {
	var actual uint64
	if _, err := t.queryOne(selectLastNumber, []any{id}, &actual); err != nil {
		return err
	}
	if actual+1 == expected {
		return nil
	}
	return &persistence.ConflictError{PersistenceID: id, Expected: expected, Actual: actual}
}

// stored reports whether the first event is where it was put. The transaction is all or nothing, so one tells for all.
func (a *appending) stored(t *tx) (bool, error) {
	var record []byte
	_, err := t.queryOne(selectRecordAt, []any{a.firstPlace}, &record)
	return bytes.Equal(record, a.firstRecord), err
}
