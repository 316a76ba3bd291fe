package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/examples/bank/internal/teller"
)

// A logged is a document of the log: a batch of events, by shard, and the positions after it.
type logged struct {
	ID     string                   `bson:"_id"`
	Heads  bson.Binary              `bson:"h"`
	Events map[string][]bson.Binary `bson:"e"`
}

// readMongo goes through the log of a MongoDB database, batch by batch.
func (b *books) readMongo(ctx context.Context, place teller.Place) (err error) {
	client, err := driver.Connect(options.Client().ApplyURI(place.Mongo).SetReadConcern(readconcern.Majority()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Disconnect(ctx)) }()
	cursor, err := client.Database(place.Database).Collection("ego_log").
		Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return err
	}
	number := 0
	for cursor.Next(ctx) {
		var l logged
		if err := cursor.Decode(&l); err != nil {
			return err
		}
		number++
		if want := fmt.Sprintf("%016x", number); l.ID != want {
			b.fail("the log has batch %s where %s belongs", l.ID, want)
		}
		if err := b.addBatch(&l); err != nil {
			return fmt.Errorf("batch %s: %w", l.ID, err)
		}
	}
	return errors.Join(cursor.Err(), cursor.Close(ctx))
}

// addBatch takes a batch. The positions after it say where its events are, and stay in shards that it has no events of.
func (b *books) addBatch(l *logged) error {
	packed, events := l.Heads.Data, 0
	for shard := uint64(0); len(packed) > 0; shard++ {
		head, n := binary.Uvarint(packed)
		if n <= 0 {
			return errors.New("its positions cannot be read")
		}
		packed = packed[n:]
		records := l.Events[strconv.FormatUint(shard, 10)]
		for i, record := range records {
			event := new(egopb.Event)
			if err := proto.Unmarshal(record.Data, event); err != nil {
				return err
			}
			position := head - uint64(len(records)-1-i)
			if err := b.add(shard, position, event.GetPersistenceId(), event.GetSequenceNumber(), record.Data); err != nil {
				return err
			}
		}
		if last := b.positions[shard]; last != head {
			b.fail("shard %d goes from position %d to %d without an event", shard, last, head)
		}
		events += len(records)
	}
	for shard, records := range l.Events {
		events -= len(records)
		if events < 0 {
			b.fail("batch %s has events of shard %s and no position", l.ID, shard)
		}
	}
	return nil
}
