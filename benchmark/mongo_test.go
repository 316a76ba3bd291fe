package benchmark

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/benchmark/internal/workload"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/mongo"
)

// BenchmarkMongo compares durable commands over 1,000 entities (path=ego) with what the driver does alone under the same write
// concern and without fence or positions of its own: batches of as many events as there are senders, without any senders, by
// one insertMany of a document for each event (path=bare) or by one document, as the store writes them (path=document);
// senders that hand their events to one loop, which writes what has gathered as one document and answers (path=group); and one
// insert for each command (path=single). All figures are per event, and p50 and p99 of what one sender waits for. The
// server is a FerretDB unless EGO_TEST_MONGO_URL names another.
func BenchmarkMongo(b *testing.B) {
	for _, senders := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("path=bare/senders=%d", senders), func(b *testing.B) {
			runTimed(b, &bareDocuments{log: openLog(b), size: senders, write: (*documents).insertMany}, 1)
		})
		b.Run(fmt.Sprintf("path=document/senders=%d", senders), func(b *testing.B) {
			runTimed(b, &bareDocuments{log: openLog(b), size: senders, write: (*documents).insertOne}, 1)
		})
		b.Run(fmt.Sprintf("path=single/senders=%d", senders), func(b *testing.B) {
			runTimed(b, &bareDocuments{log: openLog(b), size: 1, write: (*documents).insertMany}, senders)
		})
		b.Run(fmt.Sprintf("path=group/senders=%d", senders), func(b *testing.B) {
			log := openLog(b)
			runTimed(b, startGroup(func(size int) error { return log.insertOne(context.Background(), size) }), senders)
		})
		b.Run(fmt.Sprintf("path=ego/senders=%d", senders), func(b *testing.B) {
			store := mongo.NewStore(mongotest.Client(b), mongotest.Database(b))
			require.NoError(b, store.Migrate(b.Context()))
			require.NoError(b, store.Connect(b.Context()))
			b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
			commands, err := workload.StartCommands(store, 1000, nil)
			require.NoError(b, err)
			runTimed(b, commands, senders)
		})
	}
}

// documents are a collection of events, and what its next events are numbered.
type documents struct {
	collection *driver.Collection
	ids        []string

	mu      sync.Mutex
	next    int
	batches int
}

func openLog(b *testing.B) *documents {
	b.Helper()
	journaled := true
	concern := &writeconcern.WriteConcern{W: "majority", Journal: &journaled}
	database := mongotest.Client(b).Database(mongotest.Database(b), options.Database().SetWriteConcern(concern))
	l := &documents{collection: database.Collection("log"), ids: workload.IDs(1000)}
	for _, keys := range []bson.D{{{Key: "i", Value: 1}, {Key: "q", Value: 1}}, {{Key: "s", Value: 1}, {Key: "p", Value: 1}}} {
		_, err := l.collection.Indexes().CreateOne(b.Context(), driver.IndexModel{Keys: keys})
		require.NoError(b, err)
	}
	return l
}

// take numbers the next events, and the next batch.
func (l *documents) take(size int) (first, batch int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next, l.batches = l.next+size, l.batches+1
	return l.next - size, l.batches
}

// record makes an event as the store keeps it.
func (l *documents) record(n int) (*egopb.Event, bson.Binary, error) {
	payload, err := anypb.New(&testpb.Deposited{Amount: 1})
	if err != nil {
		return nil, bson.Binary{}, err
	}
	event := &egopb.Event{
		PersistenceId: l.ids[n%len(l.ids)], SequenceNumber: uint64(n/len(l.ids)) + 1, Kind: "account", Payload: payload,
		TimeUnixNano: time.Now().UnixNano(),
	}
	record, err := proto.Marshal(event)
	return event, bson.Binary{Data: record}, err
}

// insertMany writes each event as one document.
func (l *documents) insertMany(ctx context.Context, size int) error {
	first, _ := l.take(size)
	rows := make([]bson.D, size)
	for i := range rows {
		event, record, err := l.record(first + i)
		if err != nil {
			return err
		}
		rows[i] = bson.D{
			{Key: "i", Value: event.GetPersistenceId()}, {Key: "q", Value: int64(event.GetSequenceNumber())},
			{Key: "s", Value: (first + i) % 16}, {Key: "p", Value: int64((first+i)/16 + 1)}, {Key: "r", Value: record},
		}
	}
	_, err := l.collection.InsertMany(ctx, rows)
	return err
}

// insertOne writes all events as one document, with a position for each shard.
func (l *documents) insertOne(ctx context.Context, size int) error {
	first, batch := l.take(size)
	events, ids := make(map[string]bson.A), make(bson.A, size)
	for i := range size {
		event, record, err := l.record(first + i)
		if err != nil {
			return err
		}
		shard := fmt.Sprint((first + i) % 16)
		ids[i], events[shard] = event.GetPersistenceId(), append(events[shard], record)
	}
	var heads []byte
	for range 16 {
		heads = binary.AppendUvarint(heads, uint64((first+size)/16))
	}
	_, err := l.collection.InsertOne(ctx, bson.D{
		{Key: "_id", Value: fmt.Sprintf("%016x", batch)}, {Key: "h", Value: bson.Binary{Data: heads}}, {Key: "i", Value: ids}, {Key: "e", Value: events},
	})
	return err
}

// A bareDocuments side writes batches with the driver alone.
type bareDocuments struct {
	log   *documents
	size  int
	write func(l *documents, ctx context.Context, size int) error
}

// Sender implements [workload.Side].
func (s *bareDocuments) Sender(int) func() (int, error) {
	return func() (int, error) { return s.size, s.write(s.log, context.Background(), s.size) }
}

// Close implements [workload.Side].
func (s *bareDocuments) Close() error { return nil }
