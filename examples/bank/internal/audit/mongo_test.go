package audit_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego/examples/bank/internal/audit"
	"github.com/actorkeep/ego/internal/mongotest"
)

// lastBatch returns the number of the last batch of a log, and the batch.
func lastBatch(t *testing.T, log *driver.Collection) (id string, batch bson.M) {
	t.Helper()
	require.NoError(t, log.FindOne(t.Context(), bson.D{}, options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}})).Decode(&batch))
	return batch["_id"].(string), batch
}

// damageLog does harm to a log.
func damageLog(t *testing.T, log *driver.Collection, name string) {
	t.Helper()
	id, batch := lastBatch(t, log)
	byID := func(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }
	set := func(field string, value any) {
		_, err := log.UpdateOne(t.Context(), byID(id), bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: value}}}})
		require.NoError(t, err)
	}
	remove := func(filter bson.D) {
		_, err := log.DeleteMany(t.Context(), filter)
		require.NoError(t, err)
	}
	switch name {
	case "LostBatch":
		remove(byID(id))
	case "GapInLog":
		remove(byID(fmt.Sprintf("%016x", 5)))
	case "GapInShard":
		packed := batch["h"].(bson.Binary).Data
		packed[0] ^= 1
		set("h", bson.Binary{Data: packed})
	case "ForkedNumber":
		_, err := log.InsertOne(t.Context(), bson.D{{Key: "_id", Value: id + "f"}, {Key: "h", Value: batch["h"]}, {Key: "e", Value: batch["e"]}})
		require.NoError(t, err)
	case "EventsWithoutAPosition":
		set("e", bson.D{{Key: "77", Value: bson.A{bson.Binary{}}}})
	case "NothingLeft":
		remove(bson.D{})
	}
}

func TestMongo(t *testing.T) {
	t.Parallel()
	for name, finds := range map[string][]string{
		"LostBatch":              {"was acknowledged and is lost"},
		"GapInLog":               {"where 0000000000000005 belongs", "goes from position"},
		"GapInShard":             {"shard 0 goes from position"},
		"ForkedNumber":           {"took effect twice", "goes from event"},
		"EventsWithoutAPosition": {"has events of shard 77 and no position", "is lost"},
		"NothingLeft":            {"is lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := onMongo(t)
			acks := keep(t, place)
			damageLog(t, mongotest.Client(t).Database(place.Database).Collection("ego_log"), name)
			_, err := audit.Place(t.Context(), place, acks)
			for _, words := range finds {
				require.ErrorContains(t, err, words)
			}
		})
	}
}
