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
	// The fence of a run that does not begin an entity is in its first insert: without the event before it the number is
	// NULL, which the column refuses. A query of its own would cost as much again as the insert does.
	insertNextEvent = `INSERT OR FAIL INTO ego_events (place, persistence_id, sequence_number, kind, record)
		VALUES (?1, ?2, (SELECT sequence_number + 1 FROM ego_events WHERE persistence_id = ?2 AND sequence_number = ?3 - 1), ?4, ?5)`
	selectLastNumber = `SELECT sequence_number FROM ego_events WHERE persistence_id = ?
		ORDER BY sequence_number DESC LIMIT 1`
	selectRecordAt = `SELECT record FROM ego_events WHERE place = ?`
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
	a := &appending{shards: s.shards, events: events, runs: runs}
	if err := a.marshal(); err != nil {
		return err
	}
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

	// The records are made before the transaction begins, so that nobody waits for it. They lie behind each other in one
	// piece of memory; ends says where each ends.
	records []byte
	ends    []int

	firstPlace int64
}

// marshal makes the records.
func (a *appending) marshal() error {
	const usual = 192 // bytes of a record
	a.records = make([]byte, 0, usual*min(len(a.events), 256))
	a.ends = make([]int, len(a.events))
	for i, event := range a.events {
		var err error
		if a.records, err = (proto.MarshalOptions{}).MarshalAppend(a.records, event); err != nil {
			return &persistence.InvalidRecordError{PersistenceID: event.GetPersistenceId(), Reason: err.Error()}
		}
		a.ends[i] = len(a.records)
	}
	return nil
}

// record returns the record of the i-th event.
func (a *appending) record(i int) []byte {
	begin := 0
	if i > 0 {
		begin = a.ends[i-1]
	}
	return a.records[begin:a.ends[i]]
}

func (a *appending) run(ctx context.Context, t *tx) error {
	next, err := loadHeads(t, a.runs, a.shards)
	if err != nil {
		return err
	}
	runs := a.runs
	for i, event := range a.events {
		if err := checkEvery(ctx, i); err != nil {
			return err
		}
		place := next.take(persistence.ShardOf(event.GetPersistenceId(), a.shards))
		if i == 0 {
			a.firstPlace = place
		}
		insert := insertEvent
		if len(runs) > 0 && runs[0].First == event.GetSequenceNumber() && runs[0].PersistenceID == event.GetPersistenceId() {
			runs = runs[1:]
			// What overlaps with stored events breaks the unique index, so only a gap needs a fence.
			if event.GetSequenceNumber() > 1 {
				insert = insertNextEvent
			}
		}
		if err := put(t, insert, place, event, a.record(i)); err != nil {
			return err
		}
	}
	return nil
}

// put inserts an event by one of the two statements.
func put(t *tx, insert string, place int64, event *egopb.Event, record []byte) error {
	id := event.GetPersistenceId()
	err := t.exec(insert, place, id, number(event.GetSequenceNumber()), event.GetKind(), record)
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
	return bytes.Equal(record, a.record(0)), err
}
