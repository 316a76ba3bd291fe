package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
)

func TestMigrate(t *testing.T) {
	t.Parallel()

	t.Run("ByManyAtOnce", func(t *testing.T) {
		t.Parallel()
		client, database := mongotest.Client(t), mongotest.Database(t)
		failures := make(chan error, 4)
		for range cap(failures) {
			go func() { failures <- mongo.NewStore(client, database).Migrate(t.Context()) }()
		}
		for range cap(failures) {
			require.NoError(t, <-failures)
		}
	})
	t.Run("IsNeeded", func(t *testing.T) {
		t.Parallel()
		store := mongo.NewStore(mongotest.Client(t), mongotest.Database(t))
		require.ErrorIs(t, store.Connect(t.Context()), mongo.ErrNotMigrated)
	})
	for name, c := range map[string]struct {
		layout int
		want   error
	}{"RefusesANewerLayout": {2, mongo.ErrNewerLayout}, "RefusesALayoutThatNoReleaseHad": {0, mongo.ErrNotMigrated}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, database := mongotest.Client(t), mongotest.Database(t)
			meta := client.Database(database).Collection("ego_meta")
			_, err := meta.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "store"}, {Key: "layout", Value: c.layout}, {Key: "shards", Value: 16}})
			require.NoError(t, err)
			store := mongo.NewStore(client, database)
			for _, err := range []error{store.Migrate(t.Context()), store.Connect(t.Context())} {
				require.ErrorIs(t, err, c.want)
				require.ErrorContains(t, err, fmt.Sprintf("it has layout %d, this release works with 1", c.layout))
			}
			err = store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 1)})
			require.ErrorIs(t, err, c.want)
			require.True(t, persistence.NotWritten(err))
			names, err := client.Database(database).ListCollectionNames(t.Context(), bson.D{{Key: "name", Value: "ego_log"}})
			require.NoError(t, err)
			if errors.Is(c.want, mongo.ErrNewerLayout) {
				require.Empty(t, names, "nothing was touched")
			}
		})
	}
	t.Run("TakesRegistersOfUnreleasedBuildsAsDocumented", func(t *testing.T) { // docs/operations.md
		t.Parallel()
		name := mongotest.Database(t)
		former, client := connect(t, name)
		leases, err := former.AcquireLeases(t.Context(), "c", "one", []uint32{3}, time.Minute)
		require.NoError(t, err)
		require.NoError(t, former.CommitOffset(t.Context(), leases[0], 7))
		require.NoError(t, former.ReleaseLeases(t.Context(), leases))
		consumers := client.Database(name).Collection("ego_consumers")
		_, err = consumers.UpdateMany(t.Context(), bson.D{}, bson.D{{Key: "$unset", Value: bson.D{{Key: "y", Value: ""}}}})
		require.NoError(t, err)
		require.NoError(t, consumers.Indexes().DropAll(t.Context()))
		store, _ := connect(t, name)
		limit, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err = store.AcquireLeases(limit, "c", "two", []uint32{3}, time.Minute)
		require.ErrorIs(t, err, context.DeadlineExceeded, "it does not begin anew")

		_, err = consumers.UpdateMany(t.Context(), bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "y", Value: true}}}})
		require.NoError(t, err)
		_, err = client.Database(name).Collection("ego_meta").DeleteOne(t.Context(), bson.D{{Key: "_id", Value: "store"}})
		require.NoError(t, err)
		store, _ = connect(t, name)
		indexes, err := consumers.Indexes().ListSpecifications(t.Context())
		require.NoError(t, err)
		require.Len(t, indexes, 2, "its own, and that of the _id")
		taken, err := store.AcquireLeases(t.Context(), "c", "two", []uint32{3}, time.Minute)
		require.NoError(t, err)
		require.Equal(t, leases[0].Epoch+1, taken[0].Epoch)
		offsets, err := store.Offsets(t.Context(), "c")
		require.NoError(t, err)
		require.Equal(t, uint64(7), offsets[0].GetPosition())
	})
	t.Run("RefusesBadOptions", func(t *testing.T) {
		t.Parallel()
		for _, store := range []*mongo.Store{
			mongo.NewStore(nil, "ego"),
			mongo.NewStore(mongotest.Client(t), ""),
			mongo.NewStore(mongotest.Client(t), "a.b"),
			mongo.NewStore(mongotest.Client(t), "ego", mongo.WithShards(0)),
			mongo.NewStore(mongotest.Client(t), "ego", mongo.WithShards(persistence.MaxShards+1)),
			mongo.NewStore(mongotest.Client(t), "ego", mongo.WithPollInterval(0)),
		} {
			require.ErrorIs(t, store.Migrate(t.Context()), persistence.ErrInvalidArgument)
			require.ErrorIs(t, store.Connect(t.Context()), persistence.ErrInvalidArgument)
		}
	})
}
