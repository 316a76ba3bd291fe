package mongo_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
)

// stored counts the events of entity "a" whose content is in the first batch of the log.
func stored(t testing.TB, store *mongo.Store, find func(context.Context, any, ...options.Lister[options.FindOneOptions]) *driver.SingleResult) (n int) {
	t.Helper()
	raw, err := find(t.Context(), bson.D{}).Raw()
	require.NoError(t, err)
	values, err := raw.Lookup("e", fmt.Sprint(persistence.ShardOf("a", store.ShardCount()))).Array().Values()
	require.NoError(t, err)
	for _, value := range values {
		if value.Type == bson.TypeBinary {
			n++
		}
	}
	return n
}

// storeBehind returns a store that works through a proxy, and one beside it.
func storeBehind(t *testing.T) (*mongo.Store, *mongotest.Proxy, *mongo.Store) {
	t.Helper()
	database := mongotest.Database(t)
	beside, _ := connect(t, database)
	store, proxy := anotherBehind(t, database)
	return store, proxy, beside
}

// anotherBehind returns one more store on the database of a store, that works through a proxy of its own.
func anotherBehind(t *testing.T, database string) (*mongo.Store, *mongotest.Proxy) {
	t.Helper()
	proxy := mongotest.NewProxy(t)
	store := mongo.NewStore(mongotest.ClientAt(t, proxy.URL()), database)
	require.NoError(t, store.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store, proxy
}

// lose loses answers until something was lost, and lets the rest through.
func lose(proxy *mongotest.Proxy) {
	lost, stop := proxy.LoseAnswers()
	go func() {
		<-lost
		stop()
	}()
}

func TestOutcomes(t *testing.T) {
	t.Parallel()

	t.Run("LostAnswerOfAnAppendIsFoundOut", func(t *testing.T) { // G9
		t.Parallel()
		store, proxy, beside := storeBehind(t)
		for number := uint64(1); number <= 5; number++ {
			lose(proxy)
			err := store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", number)})
			if number == 1 && err != nil { // the note of the new entity was what got lost
				require.True(t, persistence.NotWritten(err))
				require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", number)}))
				continue
			}
			require.NoError(t, err)
		}
		require.Equal(t, []uint64{1, 2, 3, 4, 5}, replay(t, beside, "a", 1))
	})
	t.Run("AppendWithoutAnAnswerIsUnknown", func(t *testing.T) { // G9
		t.Parallel()
		store, proxy, beside := storeBehind(t)
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 1)}))
		_, stop := proxy.LoseAnswers()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := store.WriteEvents(ctx, []*egopb.Event{newEvent("a", 2)})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, persistence.NotWritten(err), "it was written: %v", err)
		stop()
		require.Equal(t, []uint64{1, 2}, replay(t, beside, "a", 1))
		require.NoError(t, beside.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 3)}))
		err = store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 2)})
		var conflict *persistence.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, uint64(3), conflict.Actual)
		require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 4)}))
	})
	t.Run("LostAnswerOfAStateIsFoundOut", func(t *testing.T) { // G9
		t.Parallel()
		store, proxy, beside := storeBehind(t)
		for revision := uint64(1); revision <= 5; revision++ {
			lose(proxy)
			require.NoError(t, store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: "a", Revision: revision}))
		}
		state, err := beside.GetLatestState(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, uint64(5), state.GetRevision())
		require.Equal(t, uint64(5), state.GetPosition())
	})
	t.Run("LostAnswerOfAnOffsetIsFoundOut", func(t *testing.T) { // G9
		t.Parallel()
		store, proxy, beside := storeBehind(t)
		leases, err := store.AcquireLeases(t.Context(), "c", "one", []uint32{3}, time.Minute)
		require.NoError(t, err)
		for position := uint64(1); position <= 5; position++ {
			lose(proxy)
			require.NoError(t, store.CommitOffset(t.Context(), leases[0], position))
		}
		offsets, err := beside.Offsets(t.Context(), "c")
		require.NoError(t, err)
		require.Equal(t, uint64(5), offsets[0].GetPosition())
		require.NoError(t, beside.ReleaseLeases(t.Context(), leases))
		lose(proxy)
		require.ErrorIs(t, store.CommitOffset(t.Context(), leases[0], 6), offsetstore.ErrStaleLease)
	})
	t.Run("AcknowledgedEventsSurviveAKilledServer", func(t *testing.T) { // G1
		t.Parallel()
		server := mongotest.Start(t)
		client := mongotest.ClientAt(t, server.URL())
		store := mongo.NewStore(client, "ego")
		require.NoError(t, store.Migrate(t.Context()))
		require.NoError(t, store.Connect(t.Context()))
		t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
		acknowledged := uint64(0)
		for round := range 3 {
			var failed error
			killed := make(chan struct{})
			for written := 0; failed == nil; written++ {
				if written == 5+round {
					go func() {
						server.Kill()
						close(killed)
					}()
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if failed = store.WriteEvents(ctx, []*egopb.Event{newEvent("a", acknowledged+1)}); failed == nil {
					acknowledged++
				}
				cancel()
			}
			<-killed
			require.NoError(t, server.Launch())
			numbers := replay(t, store, "a", 1)
			require.GreaterOrEqual(t, uint64(len(numbers)), acknowledged)
			require.LessOrEqual(t, uint64(len(numbers)), acknowledged+1)
			acknowledged = uint64(len(numbers))
		}
	})
}
