package mongo_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
)

// TestRollbacks has a primary take a batch, step down before a majority has it, and roll it back, while the next primary goes
// on without it. The store asks for its batch again and has to read what took its place.
func TestRollbacks(t *testing.T) { // G1, G2, G3, G9
	t.Parallel()
	for name, c := range map[string]struct {
		instead *egopb.Event // what the next primary takes; nil: nothing
		numbers []uint64     // of entity a in the end
	}{
		"NothingInItsPlace":         {nil, []uint64{1, 2}},
		"AnotherOfTheShard":         {newEvent("a1", 1), []uint64{1, 2}},
		"TheSameNumberOfItsEntity":  {newEvent("a", 2), []uint64{1, 2}},
		"TheNumberOfItsNewNeighbor": {newEvent("new", 1), []uint64{1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := mongotest.Database(t)
			log := mongotest.Client(t).Database(database).Collection("ego_log")
			a := &ambush{collection: "ego_log"}
			store, _, _ := replicated(t, database, "&retryWrites=false", a.judge, mongo.WithShards(1))
			require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 1)}))
			a.lay(false, mongotest.Verdict{Change: func(answer bson.D) bson.D {
				lost, err := log.DeleteOne(t.Context(), bson.D{{Key: "_id", Value: "0000000000000002"}})
				require.NoError(t, err)
				require.Equal(t, int64(1), lost.DeletedCount)
				if c.instead != nil {
					next, _ := connect(t, database, mongo.WithShards(1))
					require.NoError(t, next.WriteEvents(t.Context(), []*egopb.Event{c.instead}))
				}
				return mongotest.NotMajority(steppedDown, "PrimarySteppedDown").Change(answer)
			}})
			err := store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 2), newEvent("new", 1)})
			require.Equal(t, 1, a.sprung())
			events := []string{"a 1"}
			switch {
			case c.instead == nil:
				require.NoError(t, err)
				events = append(events, "a 2", "new 1")
			case c.instead.GetPersistenceId() == "a1":
				require.NoError(t, err)
				events = append(events, "a1 1", "a 2", "new 1")
			default:
				require.ErrorIs(t, err, persistence.ErrConflict)
				require.True(t, persistence.NotWritten(err))
				events = append(events, nameOf(c.instead))
			}
			require.Equal(t, c.numbers, replay(t, store, "a", 1))
			fresh, _ := connect(t, database, mongo.WithShards(1))
			for _, reader := range []*mongo.Store{store, fresh} {
				var found []string
				for _, event := range follow(t, reader, 0, 2) {
					found = append(found, nameOf(event))
				}
				require.Equal(t, events, found)
			}
			require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", uint64(len(c.numbers)+1))}))
		})
	}
}

func nameOf(event *egopb.Event) string {
	return fmt.Sprint(event.GetPersistenceId(), " ", event.GetSequenceNumber())
}
