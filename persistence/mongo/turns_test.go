package mongo_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
)

// writeOn writes to an entity without a rest until the returned function is called.
func writeOn(t *testing.T, store *mongo.Store, id string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var failed error
	var writing sync.WaitGroup
	writing.Go(func() {
		for number := uint64(1); ctx.Err() == nil && failed == nil; number++ {
			failed = store.WriteEvents(t.Context(), []*egopb.Event{newEvent(id, number)})
		}
	})
	return func() {
		cancel()
		writing.Wait()
		require.NoError(t, failed)
	}
}

// TestTurns has stores write without a rest. Each lets the others write, so that nobody waits until its time is over.
func TestTurns(t *testing.T) { // G12
	t.Parallel()
	database := mongotest.Database(t)
	one, client := connect(t, database)
	other, _ := connect(t, database)
	third, _ := connect(t, database)

	t.Run("NobodyStarves", func(t *testing.T) {
		defer writeOn(t, one, "busy")()
		defer writeOn(t, other, "busy too")()
		for number := uint64(1); number <= 20; number++ {
			require.NoError(t, third.WriteEvents(t.Context(), []*egopb.Event{newEvent("patient", number)}))
		}
	})
	require.Len(t, replay(t, one, "patient", 1), 20)

	t.Run("WhoAskedAndIsGoneIsForgotten", func(t *testing.T) {
		asked := client.Database(database).Collection("ego_turns")
		for _, token := range []string{"killed", "killed too"} {
			_, err := asked.InsertOne(t.Context(), bson.D{{Key: "_id", Value: bson.Binary{Data: []byte(token)}}})
			require.NoError(t, err)
		}
		defer writeOn(t, one, "lonely")()
		require.Eventually(t, func() bool {
			left, err := asked.CountDocuments(t.Context(), bson.D{})
			return err == nil && left == 0
		}, time.Minute, time.Millisecond)
	})
	_, err := client.Database(database).Collection("ego_turns").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "no token"}})
	require.NoError(t, err)
	end := writeOn(t, one, "unmoved")
	defer end()
	require.Eventually(t, func() bool { return len(replay(t, third, "unmoved", 1)) > 200 }, time.Minute, 20*time.Millisecond, "what others put there is passed over")
}

// TestContended has every insert lose until the time of the call is over: the error says so, and that nothing was written.
func TestContended(t *testing.T) { // G9, G12
	t.Parallel()
	taken := mongotest.Verdict{Answer: bson.D{
		{Key: "ok", Value: 1.0}, {Key: "n", Value: int32(0)},
		{Key: "writeErrors", Value: bson.A{bson.D{{Key: "index", Value: int32(0)}, {Key: "code", Value: int32(11000)}, {Key: "errmsg", Value: "E11000"}}}},
	}}
	var losing atomic.Bool
	store, _, _ := replicated(t, mongotest.Database(t), "", func(c mongotest.Command) mongotest.Verdict {
		if losing.Load() && c.Name() == "insert" && c.Collection() != "ego_entities" {
			return taken
		}
		return mongotest.Verdict{}
	})
	leases, err := store.AcquireLeases(t.Context(), "c", "one", []uint32{3}, time.Minute)
	require.NoError(t, err)
	losing.Store(true)
	for name, write := range map[string]func(ctx context.Context) error{
		"Events": func(ctx context.Context) error { return store.WriteEvents(ctx, []*egopb.Event{newEvent("a", 1)}) },
		"State": func(ctx context.Context) error {
			return store.WriteState(ctx, &egopb.DurableState{PersistenceId: "a", Revision: 1})
		},
		"Offset": func(ctx context.Context) error { return store.CommitOffset(ctx, leases[0], 7) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			err := write(ctx)
			require.ErrorIs(t, err, mongo.ErrContended)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.True(t, persistence.NotWritten(err), "%v", err)
		})
	}
}
