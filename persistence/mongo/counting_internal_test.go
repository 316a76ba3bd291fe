package mongo

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence"
)

func connected(t *testing.T) (*Store, *session) {
	t.Helper()
	store := NewStore(mongotest.Client(t), mongotest.Database(t))
	require.NoError(t, store.Migrate(t.Context()))
	require.NoError(t, store.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store, store.lifecycle.Current()
}

// beside returns another store on the same database, as another process has.
func beside(t *testing.T, store *Store) *Store {
	t.Helper()
	other := NewStore(store.client, store.database)
	require.NoError(t, other.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, other.Disconnect(context.Background())) })
	return other
}

// TestCallsCutOffHalfWay leaves behind what a process leaves that dies within a call.
func TestCallsCutOffHalfWay(t *testing.T) {
	t.Parallel()

	t.Run("TimersOfACallCountTogetherOrNotAtAll", func(t *testing.T) {
		t.Parallel()
		store, c := connected(t)
		require.NoError(t, store.ScheduleTimers(t.Context(), []*egopb.Timer{{Owner: "a", Name: "x", DueUnixNano: 5}}))
		call := &scheduling{token: "call", raised: make(map[timerName]int64)}
		for _, owner := range []string{"a", "b"} {
			require.NoError(t, call.add(&egopb.Timer{Owner: owner, Name: "x", DueUnixNano: 9}))
		}
		open := false
		done, err := call.insert(t.Context(), c, &open)
		require.NoError(t, err)
		require.True(t, done)

		due := func(owner string) (all []int64) {
			timers, err := store.OwnerTimers(t.Context(), owner)
			require.NoError(t, err)
			for _, timer := range timers {
				all = append(all, timer.GetDueUnixNano())
			}
			return all
		}
		require.Equal(t, []int64{5}, due("a"), "the call is not over")
		require.Empty(t, due("b"))
		claimed, err := store.ClaimTimers(t.Context(), time.Unix(0, 100), time.Minute, 10)
		require.NoError(t, err)
		require.Len(t, claimed, 1)

		require.NoError(t, c.insertOnce(t.Context(), c.batches, bson.D{{Key: "_id", Value: "call"}}))
		require.Equal(t, []int64{9}, due("a"))
		require.Equal(t, []int64{9}, due("b"))
		claimed, err = store.ClaimTimers(t.Context(), time.Unix(0, 100), time.Minute, 10)
		require.NoError(t, err)
		require.Len(t, claimed, 2)
		require.NoError(t, store.CompleteTimer(t.Context(), "a", "x", claimed[0].GetVersion()))
		require.Empty(t, due("a"), "a version that was replaced came back")
	})
	t.Run("OldVersionsDoNotTouchATimerThatWasSetAnew", func(t *testing.T) { // G7
		t.Parallel()
		store, c := connected(t)
		anew := &timerRecord{ID: timerID(timerName{"a", "x"}, 50), Owner: "a", Name: "x", Version: 50, Call: "anew"}
		record, err := marshal("a", &egopb.Timer{Owner: "a", Name: "x"})
		require.NoError(t, err)
		anew.Record = record
		_, err = c.timers.InsertOne(t.Context(), anew)
		require.NoError(t, err)
		require.NoError(t, store.CompleteTimer(t.Context(), "a", "x", 100), "of a higher version that is gone")
		late := &scheduling{token: "late", records: []*timerRecord{{Owner: "a", Name: "x", Version: 100}}}
		late.settle(t.Context(), c)
		timers, err := store.OwnerTimers(t.Context(), "a")
		require.NoError(t, err)
		require.Len(t, timers, 1)
		require.NoError(t, store.CompleteTimer(t.Context(), "a", "x", 50))
		timers, err = store.OwnerTimers(t.Context(), "a")
		require.NoError(t, err)
		require.Empty(t, timers)
	})
	t.Run("LettersCountOnceTheRegisterNamesThem", func(t *testing.T) { // G5
		t.Parallel()
		store, c := connected(t)
		leases, err := store.AcquireLeases(t.Context(), "p", "one", []uint32{0}, time.Minute)
		require.NoError(t, err)
		letter := &egopb.DeadLetter{Event: &egopb.Event{PersistenceId: "a", Position: 7}}
		record, err := letterOf(leases[0], letter, "call")
		require.NoError(t, err)
		_, err = c.letters.InsertOne(t.Context(), record)
		require.NoError(t, err)
		count := func() (n int) {
			for _, err := range store.DeadLetters(t.Context(), "p") {
				require.NoError(t, err)
				n++
			}
			return n
		}
		require.Zero(t, count())
		err = c.update(t.Context(), t.Context(), "p", []uint32{0}, func(_ uint32, r *register, _ time.Time) (bool, error) {
			r.Parked = "call"
			return true, nil
		})
		require.NoError(t, err)
		require.Equal(t, 1, count(), "before anybody has marked it")
		require.NoError(t, store.CommitOffset(t.Context(), leases[0], 9))
		require.Equal(t, 1, count(), "marked by the change that followed")
		require.NoError(t, store.DeleteDeadLetters(t.Context(), "p", 0, 7))
		require.Zero(t, count())
	})
	t.Run("SupersededStatesAreNotShown", func(t *testing.T) { // G3
		t.Parallel()
		store, c := connected(t)
		write := func(revision uint64) *stateWrite {
			state := &egopb.DurableState{PersistenceId: "a", Revision: revision, State: &anypb.Any{Value: fmt.Append(nil, revision)}}
			record, err := marshal("a", state)
			require.NoError(t, err)
			return &stateWrite{"a", revision, record, newToken()}
		}
		for revision := uint64(1); revision <= 3; revision++ { // each without what comes after the insert
			require.NoError(t, c.putState(t.Context(), t.Context(), write(revision)))
		}
		latest, err := store.GetLatestState(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, uint64(3), latest.GetRevision())
		states, err := store.GetShardStates(t.Context(), latest.GetShard(), 0, 10)
		require.NoError(t, err)
		require.Len(t, states, 1)
		require.Equal(t, uint64(3), states[0].GetPosition())
		require.NoError(t, store.DeleteState(t.Context(), "a"))
		content, err := c.states.CountDocuments(t.Context(), bson.D{{Key: "r", Value: bson.D{{Key: "$exists", Value: true}}}})
		require.NoError(t, err)
		require.Equal(t, int64(1), content, "content of deleted revisions is still there")
	})
	t.Run("NotesOfEntitiesThatDoNotExist", func(t *testing.T) {
		t.Parallel()
		store, c := connected(t)
		for _, id := range []string{"a", "c"} {
			require.NoError(t, store.WriteEvents(t.Context(), []*egopb.Event{{PersistenceId: id, SequenceNumber: 1}}))
		}
		require.NoError(t, c.journal.register(t.Context(), &batch{created: bson.A{"b", "c", "d"}}))
		ids, next, err := store.PersistenceIDs(t.Context(), 10, "")
		require.NoError(t, err)
		require.Empty(t, next)
		require.Equal(t, []string{"a", "c"}, ids)
	})
}

func TestAppend(t *testing.T) {
	t.Parallel()

	t.Run("WhatReadersReadBetweenCheckAndInsertCounts", func(t *testing.T) { // G2
		t.Parallel()
		store, c := connected(t)
		other := beside(t, store)
		events := []*egopb.Event{{PersistenceId: "a", SequenceNumber: 1}}
		runs, err := persistence.Runs(events)
		require.NoError(t, err)
		b, err := newBatch(events, runs, store.shards)
		require.NoError(t, err)

		at, err := c.journal.admit(t.Context(), b)
		require.NoError(t, err)
		require.NoError(t, other.WriteEvents(t.Context(), events))
		latest, err := store.GetLatestEvent(t.Context(), "a") // a reader moves on in the log
		require.NoError(t, err)
		require.Equal(t, uint64(1), latest.GetSequenceNumber())
		done, err := c.journal.insert(t.Context(), b, at)
		require.NoError(t, err)
		require.False(t, done, "the number was given twice")
		_, err = c.journal.admit(t.Context(), b)
		require.ErrorIs(t, err, persistence.ErrConflict)
	})
}

func TestHeadCache(t *testing.T) {
	t.Parallel()

	t.Run("ForgetsTheOldestAndSaysSo", func(t *testing.T) {
		t.Parallel()
		h := headCache{complete: true}
		_, ok := h.get("unknown")
		require.True(t, ok, "an empty log has no entities")
		for i := range 3*knownEntities + 3 {
			h.put(fmt.Sprint(i), head{1, 1})
		}
		require.LessOrEqual(t, len(h.young)+len(h.old), 2*knownEntities+1)
		_, ok = h.get("0")
		require.False(t, ok)
		_, ok = h.get(fmt.Sprint(3 * knownEntities))
		require.True(t, ok)
	})
	t.Run("NeverGoesBack", func(t *testing.T) {
		t.Parallel()
		var h headCache
		h.put("a", head{5, 9})
		h.put("a", head{3, 7})
		found, _ := h.get("a")
		require.Equal(t, head{5, 9}, found)
	})
}
