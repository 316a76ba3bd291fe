package mongo_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
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
