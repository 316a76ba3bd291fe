package mongo_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// openJournals writes journals of a length for entities of the first shard, in batches of a thousand events.
func openJournals(b *testing.B, shape string, entities, length int) *bareLog {
	b.Helper()
	l := openBare(b, shape)
	l.ids = nil
	for n := 0; len(l.ids) < entities; n++ {
		if id := fmt.Sprint("entity-", n); persistence.ShardOf(id, persistence.DefaultShards) == 0 {
			l.ids = append(l.ids, id)
		}
	}
	for left := entities * length; left > 0; left -= 1_000 {
		require.NoError(b, l.write(b.Context(), shape, min(left, 1_000)))
	}
	return l
}

// benchmarkBareReplay reads and decodes the events of one entity among ten.
func benchmarkBareReplay(b *testing.B, shape string, length int) {
	l := openJournals(b, shape, 10, length)
	order := bson.D{{Key: "_id", Value: 1}}
	if shape == "append" {
		order = bson.D{{Key: "f", Value: 1}}
	}
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id := l.ids[i%len(l.ids)]
		cursor, err := l.collection.Find(ctx, bson.D{{Key: "i", Value: id}}, options.Find().SetSort(order))
		require.NoError(b, err)
		read := 0
		for cursor.Next(ctx) {
			n, err := decodeOf(cursor.Current, id)
			require.NoError(b, err)
			read += n
		}
		require.NoError(b, cursor.Err())
		require.Equal(b, length, read)
	}
	b.ReportMetric(float64(length)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// decodeOf decodes the events of an entity, and passes over others without decoding them.
func decodeOf(raw bson.Raw, id string) (n int, err error) {
	start := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), id) // of its records
	return eachRecord(raw, func(record []byte) (bool, error) {
		if !bytes.HasPrefix(record, start) {
			return false, nil
		}
		return true, proto.Unmarshal(record, new(egopb.Event))
	})
}

// benchmarkBarePages reads and decodes a shard of 20,000 events page by page, over and over.
func benchmarkBarePages(b *testing.B, limit int) {
	l := openJournals(b, "append", 20, 1_000)
	ctx := b.Context()
	position, read := int64(0), 0
	b.ReportAllocs()
	for b.Loop() {
		after := bson.D{{Key: "s", Value: int64(0)}, {Key: "p", Value: bson.D{{Key: "$gt", Value: position}}}}
		cursor, err := l.collection.Find(ctx, after, options.Find().SetSort(bson.D{{Key: "p", Value: 1}}).SetLimit(int64(limit)))
		require.NoError(b, err)
		page := 0
		for cursor.Next(ctx) {
			n, err := decodeAll(cursor.Current)
			require.NoError(b, err)
			page += n
		}
		require.NoError(b, cursor.Err())
		position, read = position+int64(page), read+page
		if page < limit {
			position = 0
		}
	}
	b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "events/s")
}
