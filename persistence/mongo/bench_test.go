package mongo_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

func BenchmarkStore(b *testing.B) { persistencetest.RunBenchmarks(b, emptyStores) }

// BenchmarkBare is the yardstick for [BenchmarkStore]: the driver alone, with the same events in the same batches, but
// without fence and contexts. A batch is one document (shape=batch), as the store writes it, or one document for each append
// under unique indexes on entity and position, in one ordered command (shape=append), which is the other shape that the
// store could have. Replays and pages of a shard are of journals that are written as the suite writes them; op=scan without a
// limit reads all that there is.
func BenchmarkBare(b *testing.B) {
	for _, shape := range []string{"batch", "append"} {
		for _, size := range []int{1, 64, 1_000} {
			b.Run(fmt.Sprintf("op=append/shape=%s/batch=%d", shape, size), func(b *testing.B) { benchmarkBareAppend(b, shape, size) })
		}
		b.Run(fmt.Sprintf("op=scan/shape=%s", shape), func(b *testing.B) { benchmarkBareScan(b, shape) })
		b.Run(fmt.Sprintf("op=replay/shape=%s/events=100", shape), func(b *testing.B) { benchmarkBareReplay(b, shape, 100) })
	}
	b.Run("op=replay/shape=batch/events=10000", func(b *testing.B) { benchmarkBareReplay(b, "batch", 10_000) })
	for _, limit := range []int{100, 1_000} {
		b.Run(fmt.Sprintf("op=scan/shape=append/limit=%d", limit), func(b *testing.B) { benchmarkBarePages(b, limit) })
	}
}

// A bareLog is a collection of events without the store around it.
type bareLog struct {
	collection *driver.Collection
	ids        []string // entities, which take turns
	next       int      // number of the next event
	heads      []uint64 // positions
	batches    int
}

func openBare(b *testing.B, shape string) *bareLog {
	b.Helper()
	collection := mongotest.Client(b).Database(mongotest.Database(b)).Collection("log")
	keys := []bson.D{{{Key: "i", Value: 1}, {Key: "_id", Value: 1}}, {{Key: "c", Value: 1}}}
	unique := false
	if shape == "append" {
		keys = []bson.D{{{Key: "i", Value: 1}, {Key: "f", Value: 1}}, {{Key: "s", Value: 1}, {Key: "p", Value: 1}}}
		unique = true
	}
	for _, key := range keys {
		_, err := collection.Indexes().CreateOne(b.Context(), driver.IndexModel{Keys: key, Options: options.Index().SetUnique(unique)})
		require.NoError(b, err)
	}
	l := &bareLog{collection: collection, heads: make([]uint64, persistence.DefaultShards)}
	for n := range 100 {
		l.ids = append(l.ids, fmt.Sprint("entity-", n))
	}
	return l
}

// event makes the next of the events that the suite's benchmarks write.
func (l *bareLog) event() (shard uint32, record []byte, event *egopb.Event) {
	event = &egopb.Event{
		PersistenceId: l.ids[l.next%len(l.ids)], SequenceNumber: uint64(l.next/len(l.ids)) + 1, Kind: "account",
		Payload:      &anypb.Any{TypeUrl: "type.googleapis.com/ego.test.v1.Payload", Value: make([]byte, 128)},
		TimeUnixNano: 1_700_000_000_000_000_000,
	}
	record, _ = proto.Marshal(event)
	shard = persistence.ShardOf(event.GetPersistenceId(), persistence.DefaultShards)
	l.heads[shard]++
	l.next++
	return shard, record, event
}

// writeBatch writes events as one document.
func (l *bareLog) writeBatch(ctx context.Context, size int) error {
	events := make(map[string]bson.A)
	ids := bson.A{}
	for range size {
		shard, record, event := l.event()
		key := fmt.Sprint(shard)
		events[key] = append(events[key], bson.Binary{Data: record})
		if len(ids) < len(l.ids) {
			ids = append(ids, event.GetPersistenceId())
		}
	}
	var heads []byte
	for _, head := range l.heads {
		heads = binary.AppendUvarint(heads, head)
	}
	l.batches++
	_, err := l.collection.InsertOne(ctx, bson.D{
		{Key: "_id", Value: fmt.Sprintf("%016x", l.batches)}, {Key: "h", Value: bson.Binary{Data: heads}},
		{Key: "i", Value: ids}, {Key: "c", Value: bson.A{}}, {Key: "e", Value: events},
	})
	return err
}

// writeAppends writes each event as one document, as commands of one event each would be.
func (l *bareLog) writeAppends(ctx context.Context, size int) error {
	documents := make([]bson.D, size)
	for i := range documents {
		shard, record, event := l.event()
		documents[i] = bson.D{
			{Key: "s", Value: int64(shard)}, {Key: "p", Value: int64(l.heads[shard])}, {Key: "i", Value: event.GetPersistenceId()},
			{Key: "f", Value: int64(event.GetSequenceNumber())}, {Key: "r", Value: bson.A{bson.Binary{Data: record}}},
		}
	}
	_, err := l.collection.InsertMany(ctx, documents)
	return err
}

func (l *bareLog) write(ctx context.Context, shape string, size int) error {
	if shape == "batch" {
		return l.writeBatch(ctx, size)
	}
	return l.writeAppends(ctx, size)
}

func benchmarkBareAppend(b *testing.B, shape string, size int) {
	l := openBare(b, shape)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := l.write(ctx, shape, size); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// benchmarkBareScan reads 20,000 events that were written in batches of 1,000, and decodes them.
func benchmarkBareScan(b *testing.B, shape string) {
	l := openBare(b, shape)
	for range 20 {
		require.NoError(b, l.write(b.Context(), shape, 1_000))
	}
	ctx := b.Context()
	read := 0
	b.ReportAllocs()
	for b.Loop() {
		cursor, err := l.collection.Find(ctx, bson.D{})
		require.NoError(b, err)
		for cursor.Next(ctx) {
			n, err := decodeAll(cursor.Current)
			require.NoError(b, err)
			read += n
		}
		require.NoError(b, cursor.Err())
		require.NoError(b, cursor.Close(ctx))
	}
	b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "events/s")
}

// decodeAll decodes the events of a document of either shape.
func decodeAll(raw bson.Raw) (n int, err error) {
	return eachRecord(raw, func(record []byte) (bool, error) { return true, proto.Unmarshal(record, new(egopb.Event)) })
}

// eachRecord counts the events of a document of either shape for which see returns true.
func eachRecord(raw bson.Raw, see func(record []byte) (bool, error)) (n int, err error) {
	lists := []bson.RawValue{raw.Lookup("r")}
	if shards, ok := raw.Lookup("e").DocumentOK(); ok {
		if lists, err = shards.Values(); err != nil {
			return 0, err
		}
	}
	for _, list := range lists {
		values, err := list.Array().Values()
		if err != nil {
			return 0, err
		}
		for _, value := range values {
			_, record := value.Binary()
			seen, err := see(record)
			if err != nil {
				return 0, err
			}
			if seen {
				n++
			}
		}
	}
	return n, nil
}
