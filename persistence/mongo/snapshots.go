package mongo

import (
	"context"
	"errors"
	"fmt"
	"math"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A snapshotRecord is a snapshot as it is stored.
type snapshotRecord struct {
	ID     string      `bson:"_id"`
	Of     string      `bson:"i"`
	Number int64       `bson:"q"`
	Record bson.Binary `bson:"r"` // ego.v1.Snapshot
}

// WriteSnapshot implements [persistence.SnapshotStore].
func (s *Store) WriteSnapshot(ctx context.Context, snapshot *egopb.Snapshot) error {
	if snapshot == nil {
		return &persistence.InvalidRecordError{Reason: "the snapshot is nil"}
	}
	id, number := snapshot.GetPersistenceId(), snapshot.GetSequenceNumber()
	if err := checkNumbered(id, "sequence number", number); err != nil {
		return err
	}
	record, err := marshal(id, snapshot)
	if err != nil {
		return err
	}
	document := snapshotRecord{fmt.Sprintf("%016x/%s", number, id), id, int64(number), record}
	return s.write(ctx, "write a snapshot to", func(ctx context.Context, c *session) error {
		for attempt := 0; ; attempt++ {
			_, err := c.snapshots.ReplaceOne(ctx, bson.D{{Key: "_id", Value: document.ID}}, document, options.Replace().SetUpsert(true))
			if err == nil || refused(err) && !driver.IsDuplicateKeyError(err) { // two upserts may collide
				return err
			}
			if pause(ctx, attempt) != nil {
				return &outcomeError{err}
			}
		}
	})
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

// marshal serializes a record of an entity, which must fit into a document.
func marshal(id string, message proto.Message) (bson.Binary, error) {
	record, err := proto.Marshal(message)
	if err == nil && len(record) > maxDocument-8<<10 {
		err = fmt.Errorf("the record of %d bytes is too large for a document", len(record))
	}
	if err != nil {
		return bson.Binary{}, &persistence.InvalidRecordError{PersistenceID: id, Reason: err.Error()}
	}
	return bson.Binary{Data: record}, nil
}

// GetLatestSnapshot implements [persistence.SnapshotStore].
func (s *Store) GetLatestSnapshot(ctx context.Context, persistenceID string) (*egopb.Snapshot, error) {
	return s.GetSnapshot(ctx, persistenceID, math.MaxInt64)
}

// GetSnapshot implements [persistence.SnapshotStore].
func (s *Store) GetSnapshot(ctx context.Context, persistenceID string, maxSequenceNumber uint64) (snapshot *egopb.Snapshot, err error) {
	filter := bson.D{{Key: "i", Value: persistenceID}, {Key: "q", Value: bson.D{{Key: "$lte", Value: signed(maxSequenceNumber)}}}}
	err = s.read(ctx, "read a snapshot from", func(ctx context.Context, c *session) error {
		var stored snapshotRecord
		err := c.snapshots.FindOne(ctx, filter, options.FindOne().SetSort(bson.D{{Key: "q", Value: -1}})).Decode(&stored)
		if errors.Is(err, driver.ErrNoDocuments) {
			return nil
		}
		if err != nil {
			return err
		}
		snapshot = new(egopb.Snapshot)
		return proto.Unmarshal(stored.Record.Data, snapshot)
	})
	if err != nil {
		return nil, err
	}
	return snapshot, nil
}

// signed returns a number as the server holds it; no stored one is above.
func signed(number uint64) int64 { return int64(min(number, math.MaxInt64)) }

// DeleteSnapshots implements [persistence.SnapshotStore].
func (s *Store) DeleteSnapshots(ctx context.Context, persistenceID string, toSequenceNumber uint64) error {
	filter := bson.D{{Key: "i", Value: persistenceID}, {Key: "q", Value: bson.D{{Key: "$lte", Value: signed(toSequenceNumber)}}}}
	return s.write(ctx, "delete snapshots from", func(ctx context.Context, c *session) error {
		_, err := c.snapshots.DeleteMany(ctx, filter)
		return uncertain(err)
	})
}

// uncertain marks the error of a command that may have done its work, or some of it.
func uncertain(err error) error {
	if err == nil || unsent(err) {
		return err
	}
	return &outcomeError{err}
}
