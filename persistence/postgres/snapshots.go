package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

const (
	upsertSnapshot = `INSERT INTO ego.snapshots (persistence_id, sequence_number, record) VALUES ($1, $2, $3)
		ON CONFLICT (persistence_id, sequence_number) DO UPDATE SET record = excluded.record`
	selectSnapshot = `SELECT record FROM ego.snapshots WHERE persistence_id = $1 AND sequence_number <= $2
		ORDER BY sequence_number DESC LIMIT 1`
	deleteSnapshots = `DELETE FROM ego.snapshots WHERE persistence_id = $1 AND sequence_number <= $2`
)

// WriteSnapshot implements [persistence.SnapshotStore].
func (s *Store) WriteSnapshot(ctx context.Context, snapshot *egopb.Snapshot) error {
	if snapshot == nil {
		return &persistence.InvalidRecordError{Reason: "the snapshot is nil"}
	}
	id := snapshot.GetPersistenceId()
	if err := checkNumbered(id, "sequence number", snapshot.GetSequenceNumber()); err != nil {
		return err
	}
	record, err := marshal(id, snapshot)
	if err != nil {
		return err
	}
	return s.exec(ctx, "write a snapshot to", upsertSnapshot, id, number(snapshot.GetSequenceNumber()), record)
}

// GetLatestSnapshot implements [persistence.SnapshotStore].
func (s *Store) GetLatestSnapshot(ctx context.Context, persistenceID string) (*egopb.Snapshot, error) {
	return s.GetSnapshot(ctx, persistenceID, math.MaxInt64)
}

// GetSnapshot implements [persistence.SnapshotStore].
func (s *Store) GetSnapshot(ctx context.Context, persistenceID string, maxSequenceNumber uint64) (*egopb.Snapshot, error) {
	if !isText(persistenceID) {
		return nil, s.check(ctx)
	}
	snapshots, err := readAll(ctx, s, "read a snapshot from", selectSnapshot, []any{persistenceID, number(maxSequenceNumber)},
		func(rows pgx.Rows) (*egopb.Snapshot, error) { return scanMessage(rows, new(egopb.Snapshot)) })
	if err != nil || len(snapshots) == 0 {
		return nil, err
	}
	return snapshots[0], nil
}

// DeleteSnapshots implements [persistence.SnapshotStore].
func (s *Store) DeleteSnapshots(ctx context.Context, persistenceID string, toSequenceNumber uint64) error {
	if !isText(persistenceID) {
		return s.check(ctx)
	}
	return s.exec(ctx, "delete snapshots from", deleteSnapshots, persistenceID, number(toSequenceNumber))
}

// scanMessage reads the record that is the only column.
func scanMessage[M proto.Message](rows pgx.Rows, message M) (M, error) {
	return message, unmarshalRow(rows, message)
}

// unmarshalRow reads columns and then the record that is the last one.
func unmarshalRow(rows pgx.Rows, message proto.Message, columns ...any) error {
	var record []byte
	if err := rows.Scan(append(columns, &record)...); err != nil {
		return err
	}
	return proto.Unmarshal(record, message)
}
