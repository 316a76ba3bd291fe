package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

const (
	upsertSnapshot = `INSERT INTO ego_snapshots (persistence_id, sequence_number, record) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET record = excluded.record`
	selectSnapshot = `SELECT record FROM ego_snapshots WHERE persistence_id = ? AND sequence_number <= ?
		ORDER BY sequence_number DESC LIMIT 1`
	deleteSnapshots = `DELETE FROM ego_snapshots WHERE persistence_id = ? AND sequence_number <= ?`
)

// WriteSnapshot implements [persistence.SnapshotStore].
func (s *Store) WriteSnapshot(ctx context.Context, snapshot *egopb.Snapshot) error {
	if err := checkSnapshot(snapshot); err != nil {
		return err
	}
	id := snapshot.GetPersistenceId()
	record, err := marshal(id, snapshot)
	if err != nil {
		return err
	}
	return s.write(ctx, write{op: "write a snapshot to", run: func(_ context.Context, t *tx) error {
		return tooLarge(id, record, t.exec(upsertSnapshot, id, number(snapshot.GetSequenceNumber()), record))
	}})
}

func checkSnapshot(snapshot *egopb.Snapshot) error {
	if snapshot == nil {
		return &persistence.InvalidRecordError{Reason: "the snapshot is nil"}
	}
	return checkNumbered(snapshot.GetPersistenceId(), "sequence number", snapshot.GetSequenceNumber())
}

func checkNumbered(id, what string, number uint64) error {
	if err := persistence.CheckID(id); err != nil {
		return err
	}
	if number == 0 || number > math.MaxInt64 {
		return &persistence.InvalidRecordError{PersistenceID: id, Reason: fmt.Sprintf("%s %d is out of range", what, number)}
	}
	return nil
}

// GetLatestSnapshot implements [persistence.SnapshotStore].
func (s *Store) GetLatestSnapshot(ctx context.Context, persistenceID string) (*egopb.Snapshot, error) {
	return s.GetSnapshot(ctx, persistenceID, math.MaxInt64)
}

// GetSnapshot implements [persistence.SnapshotStore].
func (s *Store) GetSnapshot(ctx context.Context, persistenceID string, maxSequenceNumber uint64) (snapshot *egopb.Snapshot, err error) {
	err = s.read(ctx, "read a snapshot from", selectSnapshot, func(rows *sql.Rows) (err error) {
		snapshot, err = scanMessage(rows, new(egopb.Snapshot))
		return err
	}, persistenceID, number(maxSequenceNumber))
	return snapshot, err
}

// DeleteSnapshots implements [persistence.SnapshotStore].
func (s *Store) DeleteSnapshots(ctx context.Context, persistenceID string, toSequenceNumber uint64) error {
	return s.write(ctx, write{op: "delete snapshots from", run: func(_ context.Context, t *tx) error {
		return t.exec(deleteSnapshots, persistenceID, number(toSequenceNumber))
	}})
}

// marshal serializes a record of an entity.
func marshal(id string, message proto.Message) ([]byte, error) {
	record, err := proto.Marshal(message)
	if err != nil {
		return nil, &persistence.InvalidRecordError{PersistenceID: id, Reason: err.Error()}
	}
	return record, nil
}

// tooLarge says so of a record that SQLite refused for its size, and passes on every other error.
func tooLarge(id string, record []byte, err error) error {
	if primaryCode(err) != codeTooBig {
		return err
	}
	return &persistence.InvalidRecordError{PersistenceID: id, Reason: fmt.Sprintf("the record of %d bytes is too large", len(record))}
}

// scanMessage reads the record that is the only column.
func scanMessage[M proto.Message](rows *sql.Rows, message M) (M, error) {
	var record sql.RawBytes
	if err := rows.Scan(&record); err != nil {
		return message, err
	}
	return message, proto.Unmarshal(record, message)
}
