package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
	"github.com/actorkeep/ego/projection"
)

func newEvent(id string, number uint64) *egopb.Event {
	return &egopb.Event{PersistenceId: id, SequenceNumber: number, Kind: "account", Payload: &anypb.Any{TypeUrl: "t", Value: []byte(id)}}
}

func replay(t testing.TB, store *mongo.Store, id string, from uint64) []uint64 {
	t.Helper()
	numbers := []uint64{}
	for event, err := range store.ReplayEvents(t.Context(), id, from, 1<<40) {
		require.NoError(t, err)
		numbers = append(numbers, event.GetSequenceNumber())
	}
	return numbers
}

// follow reads a shard from its beginning and checks that it has no gap.
func follow(t testing.TB, store *mongo.Store, shard uint32, page int) (events []*egopb.Event) {
	t.Helper()
	for {
		next, err := store.GetShardEvents(t.Context(), shard, uint64(len(events)), page)
		require.NoError(t, err)
		for _, event := range next {
			require.Equal(t, uint64(len(events)+1), event.GetPosition())
			events = append(events, event)
		}
		if len(next) == 0 {
			return events
		}
	}
}

// TestTwoStores has stores on one database that know nothing of each other, as two processes do.
func TestTwoStores(t *testing.T) {
	t.Parallel()

	t.Run("NeverForkNorLeaveAGap", func(t *testing.T) { // G2, G3
		t.Parallel()
		const writers, events, entities = 6, 12, 2
		database := mongotest.Database(t)
		var stores [2]*mongo.Store
		for i := range stores {
			stores[i], _ = connect(t, database, mongo.WithShards(2))
		}
		var (
			mu    sync.Mutex
			acked = make(map[string]map[uint64]int)
			group sync.WaitGroup
		)
		for w := range writers {
			group.Go(func() {
				store, id := stores[w%2], fmt.Sprintf("entity-%d", w%3%entities)
				for done := 0; done < events; {
					latest, err := store.GetLatestEvent(t.Context(), id)
					if !assertNoError(t, err) {
						return
					}
					event := newEvent(id, latest.GetSequenceNumber()+1)
					err = store.WriteEvents(t.Context(), []*egopb.Event{event, newEvent(fmt.Sprintf("own-%d-%d", w, done), 1)})
					if errors.Is(err, persistence.ErrConflict) && event.GetSequenceNumber() > 0 {
						continue
					}
					if !assertNoError(t, err) {
						return
					}
					mu.Lock()
					if acked[id] == nil {
						acked[id] = make(map[uint64]int)
					}
					acked[id][event.GetSequenceNumber()]++
					mu.Unlock()
					done++
				}
			})
		}
		group.Wait()
		total := 0
		for id, numbers := range acked {
			for number, times := range numbers {
				require.Equal(t, 1, times, "number %d of %s was given twice", number, id)
			}
			for _, store := range stores {
				require.Len(t, replay(t, store, id, 1), len(numbers))
			}
			total += len(numbers)
		}
		require.Equal(t, writers*events, total)
		third, _ := connect(t, database, mongo.WithShards(2))
		for _, store := range []*mongo.Store{stores[0], stores[1], third} {
			require.Equal(t, 2*total, len(follow(t, store, 0, 7))+len(follow(t, store, 1, 1_000)))
		}
	})
	t.Run("ReadFromAnyPositionOfALongLog", func(t *testing.T) { // G3
		t.Parallel()
		database := mongotest.Database(t)
		writer, _ := connect(t, database, mongo.WithShards(3))
		for number := uint64(1); number <= 40; number++ {
			for _, id := range []string{"a", "b", "c"}[:1+number%3] {
				require.NoError(t, writer.WriteEvents(t.Context(), []*egopb.Event{newEvent(fmt.Sprint(id, number), 1)}))
			}
		}
		for shard := range uint32(3) {
			all := follow(t, writer, shard, 1_000)
			for after := range all {
				reader := writer
				if after%5 == 0 {
					reader, _ = connect(t, database, mongo.WithShards(3)) // knows nothing of the log
				}
				events, err := reader.GetShardEvents(t.Context(), shard, uint64(after), 3)
				require.NoError(t, err)
				require.Equal(t, all[after].GetPersistenceId(), events[0].GetPersistenceId())
				require.Len(t, events, min(3, len(all)-after))
			}
		}
	})
	t.Run("ReplayFromTheMiddle", func(t *testing.T) {
		t.Parallel()
		database := mongotest.Database(t)
		writer, _ := connect(t, database)
		for number := uint64(1); number <= 30; number += 3 {
			require.NoError(t, writer.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", number), newEvent("a", number+1), newEvent("a", number+2)}))
		}
		reader, _ := connect(t, database)
		for from := uint64(1); from <= 31; from++ {
			numbers := replay(t, reader, "a", from)
			require.Len(t, numbers, int(31-from))
			if from <= 30 {
				require.Equal(t, from, numbers[0])
			}
		}
	})
	t.Run("SeeWhatTheOtherDeletes", func(t *testing.T) {
		t.Parallel()
		database := mongotest.Database(t)
		one, _ := connect(t, database)
		two, _ := connect(t, database)
		require.NoError(t, one.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 1), newEvent("a", 2), newEvent("a", 3)}))
		shard := persistence.ShardOf("a", one.ShardCount())
		require.Len(t, follow(t, two, shard, 10), 3) // and keeps them in memory
		require.NoError(t, one.DeleteEvents(t.Context(), "a", 2))
		require.Equal(t, []uint64{3}, replay(t, two, "a", 1))
		for i, event := range follow(t, two, shard, 10) {
			require.Equal(t, i < 2, event.GetDeleted())
			require.Equal(t, i < 2, event.GetPayload() == nil)
		}
	})
}

func assertNoError(t testing.TB, err error) bool {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

func TestDeleteEvents(t *testing.T) {
	t.Parallel()

	t.Run("CountsBeforeTheContentIsGone", func(t *testing.T) { // G10
		t.Parallel()
		database := mongotest.Database(t)
		store, client := connect(t, database)
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 1), newEvent("a", 2), newEvent("a", 3)}))
		// What a process leaves behind that dies in between.
		_, err := client.Database(database).Collection("ego_deletions").InsertOne(t.Context(), bson.D{
			{Key: "_id", Value: fmt.Sprintf("%016x/a", 2)}, {Key: "i", Value: "a"}, {Key: "q", Value: int64(2)},
		})
		require.NoError(t, err)
		shard := persistence.ShardOf("a", store.ShardCount())
		require.Equal(t, []uint64{3}, replay(t, store, "a", 1))
		require.True(t, follow(t, store, shard, 10)[1].GetDeleted())
		require.Equal(t, 3, stored(t, store, client.Database(database).Collection("ego_log").FindOne))

		require.NoError(t, store.DeleteEvents(t.Context(), "a", 1), "finishes what the other began")
		require.Equal(t, 1, stored(t, store, client.Database(database).Collection("ego_log").FindOne))
		require.Equal(t, []uint64{3}, replay(t, store, "a", 1))
	})
}

func TestListen(t *testing.T) {
	t.Parallel()

	t.Run("WakesForTheCommitsOfOthers", func(t *testing.T) {
		t.Parallel()
		database := mongotest.Database(t)
		listener, _ := connect(t, database, mongo.WithPollInterval(time.Millisecond))
		writer, _ := connect(t, database)
		woken, ended := make(chan struct{}, 100), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- listener.Listen(ctx, func() { woken <- struct{}{} }) }()
		<-woken // it listens
		require.NoError(t, writer.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 1)}))
		<-woken
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	t.Run("EndsWithDisconnect", func(t *testing.T) { // G12
		t.Parallel()
		store, _ := connect(t, mongotest.Database(t))
		woken, ended := make(chan struct{}, 100), make(chan error, 1)
		go func() { ended <- store.Listen(t.Context(), func() { woken <- struct{}{} }) }()
		<-woken
		require.NoError(t, store.Disconnect(t.Context()))
		require.ErrorIs(t, <-ended, persistence.ErrNotConnected)
	})
}

func TestTxHandler(t *testing.T) {
	t.Parallel()

	t.Run("SaysThatThereAreNoTransactions", func(t *testing.T) { // G4
		t.Parallel()
		if !mongotest.Private() {
			t.Skip("the server may have transactions: TransactsOnAReplicaSet runs") //nolint:forbidigo // the other of the two runs
		}
		store, _ := connect(t, mongotest.Database(t))
		leases, err := store.AcquireLeases(t.Context(), "p", "one", []uint32{0}, time.Minute)
		require.NoError(t, err)
		handler := mongo.TxHandler(store, func(context.Context, *projection.Event) error {
			t.Error("called without a transaction")
			return nil
		})
		events := []*projection.Event{{PersistenceID: "a", Position: 1}}
		err = handler.(projection.TransactionalHandler).HandleTransaction(t.Context(), leases[0], events, 1)
		require.ErrorIs(t, err, mongo.ErrNoTransactions)
		require.True(t, persistence.NotWritten(err))
		require.ErrorIs(t, handler.Handle(t.Context(), events[0]), mongo.ErrNoTransactions)
		offsets, err := store.Offsets(t.Context(), "p")
		require.NoError(t, err)
		require.Empty(t, offsets)
	})
	t.Run("TransactsOnAReplicaSet", func(t *testing.T) { // G4
		t.Parallel()
		if mongotest.Private() {
			t.Skip("FerretDB has no transactions: EGO_TEST_MONGO_URL runs this on a replica set") //nolint:forbidigo // no such server can be had here
		}
		database := mongotest.Database(t)
		store, client := connect(t, database)
		leases, err := store.AcquireLeases(t.Context(), "p", "one", []uint32{0}, time.Minute)
		require.NoError(t, err)
		model := client.Database(database).Collection("model")
		failure := errors.New("the handler failed")
		handler := mongo.TxHandler(store, func(ctx context.Context, event *projection.Event) error {
			if event.Position == 3 {
				return failure
			}
			_, err := model.InsertOne(ctx, bson.D{{Key: "_id", Value: int64(event.Position)}})
			return err
		}).(projection.TransactionalHandler)
		require.NoError(t, handler.HandleTransaction(t.Context(), leases[0], []*projection.Event{{Position: 1}}, 1))
		require.ErrorIs(t, handler.HandleTransaction(t.Context(), leases[0], []*projection.Event{{Position: 2}, {Position: 3}}, 3), failure)
		count, err := model.CountDocuments(t.Context(), bson.D{})
		require.NoError(t, err)
		require.Equal(t, int64(1), count)
		stale := leases[0]
		stale.Epoch--
		require.ErrorIs(t, handler.HandleTransaction(t.Context(), stale, []*projection.Event{{Position: 2}}, 2), offsetstore.ErrStaleLease)
		offsets, err := store.Offsets(t.Context(), "p")
		require.NoError(t, err)
		require.Equal(t, uint64(1), offsets[0].GetPosition())
	})
}

// A replay is read page by page, whatever else the batches of an entity hold, and goes on where a page ended.
func TestReplayByPages(t *testing.T) {
	t.Parallel()
	database := mongotest.Database(t)
	store, _ := connect(t, database)
	large := func(id string, number uint64) *egopb.Event {
		event := newEvent(id, number)
		event.Payload.Value = make([]byte, 1<<20)
		return event
	}
	want := []uint64{}
	for number := uint64(1); number <= 11; number++ {
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{large("a", number), large("b", number), newEvent("c", number)}))
		want = append(want, number)
	}
	require.NoError(t, store.DeleteEvents(t.Context(), "b", 6)) // in the middle of its second page
	other, _ := connect(t, database)                            // which has nothing of it in memory
	require.Equal(t, want, replay(t, other, "a", 1))
	require.Equal(t, want[6:], replay(t, other, "b", 1))
	require.Equal(t, want[3:], replay(t, other, "c", 4))
}
