package mongo

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

// setAll sets a field of all documents.
func setAll(t *testing.T, of *driver.Collection, filter bson.D, field string, value any) {
	t.Helper()
	_, err := of.UpdateMany(t.Context(), filter, bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: value}}}})
	require.NoError(t, err)
}

// idsOf returns what identifies the documents of a collection, in order.
func idsOf(t *testing.T, of *driver.Collection, field string) (ids []string) {
	t.Helper()
	cursor, err := of.Find(t.Context(), bson.D{}, options.Find())
	require.NoError(t, err)
	for cursor.Next(t.Context()) {
		ids = append(ids, cursor.Current.Lookup(field).StringValue())
	}
	require.NoError(t, cursor.Err())
	slices.Sort(ids)
	return ids
}

// letterAt makes a dead letter of an entity that is called as its position.
func letterAt(id string, position uint64) []*egopb.DeadLetter {
	return []*egopb.DeadLetter{{Event: &egopb.Event{PersistenceId: id, SequenceNumber: 1, Shard: 3, Position: position}}}
}

// lettersOf returns the entities whose letters a consumer has.
func lettersOf(t *testing.T, store *Store, consumer string) (ids []string) {
	t.Helper()
	for letter, err := range store.DeadLetters(t.Context(), consumer) {
		require.NoError(t, err)
		ids = append(ids, letter.GetEvent().GetPersistenceId())
	}
	return ids
}

// TestLetterSweep has calls that were cut off before their letters were visible, beside letters that count.
func TestLetterSweep(t *testing.T) { // G10
	t.Parallel()
	store, c := connected(t)
	now := time.Now()
	old := now.Add(-2 * keepRegisters)
	lease := func(consumer string, shard uint32) offsetstore.Lease {
		leases, err := store.AcquireLeases(t.Context(), consumer, "one", []uint32{shard}, time.Minute)
		require.NoError(t, err)
		return leases[0]
	}
	held := lease("c", 3)
	require.NoError(t, store.ParkEvents(t.Context(), held, letterAt("marked", 5)))
	require.NoError(t, store.CommitOffset(t.Context(), held, 5)) // marks it
	require.NoError(t, store.ParkEvents(t.Context(), held, letterAt("visible", 7)))
	setAll(t, c.letters, bson.D{}, "t", old)

	leave := func(of, consumer string, shard int64, written time.Time) {
		record, err := marshal(of, letterAt(of, 9)[0])
		require.NoError(t, err)
		_, err = c.letters.InsertOne(t.Context(), &letterRecord{
			ID: of, Consumer: consumer, Shard: shard, Position: 9, Of: of, Call: of, Written: written, Record: record,
		})
		require.NoError(t, err)
	}
	leave("left-long-ago", "c", 3, old)
	leave("left-just-now", "c", 3, now) // its call may still make it visible
	leave("left-in-another-shard", "c", 4, old)
	leave("left-by-another-consumer", "d", 3, old)
	require.Equal(t, []string{"marked", "visible"}, lettersOf(t, store, "c"))

	require.NoError(t, store.DeleteDeadLetters(t.Context(), "c", 3, 99))
	require.Equal(t, []string{"left-by-another-consumer", "left-in-another-shard", "left-just-now", "marked", "visible"}, idsOf(t, c.letters, "i"))
	require.Equal(t, []string{"marked", "visible"}, lettersOf(t, store, "c"))

	require.NoError(t, store.DeleteDeadLetters(t.Context(), "c", 3, 5, 7, 9))
	require.Equal(t, []string{"left-by-another-consumer", "left-in-another-shard", "left-just-now"}, idsOf(t, c.letters, "i"))
	require.NoError(t, store.CommitOffset(t.Context(), held, 9))
	require.Empty(t, lettersOf(t, store, "c"), "nothing brings them back")

	other := lease("d", 3)
	require.NoError(t, store.ParkEvents(t.Context(), other, letterAt("of-d", 1)))
	require.NoError(t, store.DeleteConsumer(t.Context(), "c"))
	require.Equal(t, []string{"left-by-another-consumer", "of-d"}, idsOf(t, c.letters, "i"), "all of one consumer, whatever it is")
	require.Equal(t, []string{"of-d"}, lettersOf(t, store, "d"))
}

// TestStateSweep has changes of states that were superseded long ago, a moment ago, and not at all.
func TestStateSweep(t *testing.T) { // G2, G3
	t.Parallel()
	store, c := connected(t)
	write := func(id string, revision uint64) {
		require.NoError(t, store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: id, Revision: revision}))
	}
	for revision := range uint64(3) {
		write("a", revision+1)
		write("b", revision+1)
	}
	require.NoError(t, store.DeleteState(t.Context(), "b")) // leaves a tombstone, which has revision 4
	setAll(t, c.states, bson.D{{Key: "v", Value: bson.D{{Key: "$lte", Value: 2}}}}, "x", time.Now().Add(-2*keepSuperseded))
	places := func() (live, superseded int) {
		all := len(idsOf(t, c.states, "_id"))
		n, err := c.states.CountDocuments(t.Context(), bson.D{{Key: "l", Value: true}})
		require.NoError(t, err)
		return int(n), all - int(n)
	}
	live, superseded := places()
	require.Equal(t, [2]int{2, 5}, [2]int{live, superseded})

	c.sweepStates(t.Context())
	live, superseded = places()
	require.Equal(t, [2]int{2, 5}, [2]int{live, superseded}, "it is not due")
	c.stateWrites = sweeper{writes: 1_000}
	c.sweepStates(t.Context())
	live, superseded = places()
	require.Equal(t, [2]int{2, 1}, [2]int{live, superseded}, "the latest of each, and what was superseded a moment ago")

	for id, want := range map[string]uint64{"a": 3, "b": 4} {
		state, err := store.GetLatestState(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, state.GetRevision())
		require.Equal(t, id == "b", state.GetDeleted())
		require.ErrorIs(t, store.WriteState(t.Context(), &egopb.DurableState{PersistenceId: id, Revision: want}), persistence.ErrConflict)
	}
	before, err := store.ShardStatePositions(t.Context())
	require.NoError(t, err)
	write("a", 4)
	state, err := beside(t, store).GetLatestState(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, before[state.GetShard()]+1, state.GetPosition(), "no position is given again")
}
