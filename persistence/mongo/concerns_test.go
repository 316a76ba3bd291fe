package mongo_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
)

// weakest are the settings of a client that promise least.
const weakest = "&w=1&journal=false&readPreference=secondary&readConcernLevel=local&retryWrites=false&retryReads=false"

// TestConcerns has a client that is set to promise as little as possible, and looks at every command that the store sends.
func TestConcerns(t *testing.T) { // G1, G3
	t.Parallel()
	var sent recorder
	store, _, _ := replicated(t, mongotest.Database(t), weakest, sent.note)
	writeEvents(t, store)
	writeStates(t, store)
	writeTimers(t, store)
	writeConsumers(t, store)
	writeKeys(t, store)

	written, read := make(map[string]bool), make(map[string]bool)
	for _, c := range sent.all() {
		switch c.Name() {
		case "insert", "update", "delete", "createIndexes":
			require.Equal(t, "majority", c.Get("writeConcern", "w"), "%v", c)
			require.Equal(t, true, c.Get("writeConcern", "j"), "%v", c)
			written[c.Name()+" "+c.Collection()] = true
		case "find":
			require.Equal(t, "majority", c.Get("readConcern", "level"), "%v", c)
			requirePrimary(t, c)
			read[c.Collection()] = true
		case "hello":
			requirePrimary(t, c)
		case "isMaster", "ping", "getMore", "killCursors", "endSessions": // nothing that a concern is for
		default:
			require.Fail(t, "a command that the test does not know", "%v", c)
		}
	}
	for _, kind := range []string{"meta", "log", "entities", "deletions", "states", "timers", "timer_claims", "timer_batches",
		"consumers", "keyrings", "dead_letters"} {
		require.Contains(t, written, "insert ego_"+kind)
	}
	for _, one := range []string{"update ego_log", "update ego_snapshots", "update ego_states", "update ego_consumers", "update ego_dead_letters", "update ego_keyrings",
		"delete ego_snapshots", "delete ego_timers", "delete ego_dead_letters", "createIndexes ego_log"} {
		require.Contains(t, written, one)
	}
	for _, kind := range []string{"meta", "log", "deletions", "states", "snapshots", "timers", "consumers", "keyrings", "dead_letters"} {
		require.Contains(t, read, "ego_"+kind)
	}
}

// requirePrimary requires that no member but the primary may answer: without a mode, which is the default.
func requirePrimary(t *testing.T, c mongotest.Command) {
	t.Helper()
	if mode := c.Get("$readPreference", "mode"); mode != nil {
		require.Equal(t, "primary", mode, "%v", c)
	}
}

func writeEvents(t *testing.T, store *mongo.Store) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, store.WriteEvents(ctx, []*egopb.Event{newEvent("a", 1), newEvent("a", 2), newEvent("b", 1)}))
	require.NoError(t, store.DeleteEvents(ctx, "a", 1))
	require.Equal(t, []uint64{2}, replay(t, store, "a", 1))
	for shard := range store.ShardCount() {
		follow(t, store, shard, 2)
	}
	_, _, err := store.PersistenceIDs(ctx, 10, "")
	require.NoError(t, err)
	require.NoError(t, store.WriteSnapshot(ctx, &egopb.Snapshot{PersistenceId: "a", SequenceNumber: 2}))
	_, err = store.GetLatestSnapshot(ctx, "a")
	require.NoError(t, err)
	require.NoError(t, store.DeleteSnapshots(ctx, "a", 2))
}

func writeStates(t *testing.T, store *mongo.Store) {
	t.Helper()
	ctx := t.Context()
	for revision := uint64(1); revision <= 2; revision++ {
		require.NoError(t, store.WriteState(ctx, &egopb.DurableState{PersistenceId: "a", Revision: revision}))
	}
	_, err := store.GetShardStates(ctx, persistence.ShardOf("a", store.ShardCount()), 0, 10)
	require.NoError(t, err)
	require.NoError(t, store.DeleteState(ctx, "a"))
}

func writeTimers(t *testing.T, store *mongo.Store) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	var timers []*egopb.Timer
	for n := range 3 {
		timers = append(timers, &egopb.Timer{Owner: "a", Name: fmt.Sprint(n), DueUnixNano: now.UnixNano()})
	}
	require.NoError(t, store.ScheduleTimers(ctx, timers))
	claimed, err := store.ClaimTimers(ctx, now, time.Minute, 2)
	require.NoError(t, err)
	require.Len(t, claimed, 2)
	require.NoError(t, store.CompleteTimers(ctx, claimed[:1]))
	require.NoError(t, store.ReleaseTimers(ctx, claimed[1:]))
	require.NoError(t, store.CancelTimers(ctx, "a", "0", "1", "2"))
	_, _, err = store.NextTimer(ctx)
	require.NoError(t, err)
}

func writeConsumers(t *testing.T, store *mongo.Store) {
	t.Helper()
	ctx := t.Context()
	leases, err := store.AcquireLeases(ctx, "c", "one", []uint32{3}, time.Minute)
	require.NoError(t, err)
	letter := &egopb.DeadLetter{Event: &egopb.Event{PersistenceId: "a", SequenceNumber: 1, Shard: 3, Position: 1}}
	require.NoError(t, store.ParkEvents(ctx, leases[0], []*egopb.DeadLetter{letter}))
	for position := uint64(1); position <= 8; position++ { // one of them marks those before it
		require.NoError(t, store.CommitOffset(ctx, leases[0], position))
	}
	_, err = store.RenewLeases(ctx, leases, time.Minute)
	require.NoError(t, err)
	_, err = store.ParkedEntities(ctx, "c", 3)
	require.NoError(t, err)
	require.NoError(t, store.DeleteDeadLetters(ctx, "c", 3, 1))
	require.NoError(t, store.ResetOffsets(ctx, "c", map[uint32]uint64{3: 0}))
	require.NoError(t, store.DeleteConsumer(ctx, "c"))
}

func writeKeys(t *testing.T, store *mongo.Store) {
	t.Helper()
	ctx := t.Context()
	key := &egopb.DataKey{KeyId: "k", PersistenceId: "a", Version: 1, Wrapped: []byte("wrapped"), MasterKeyId: "one"}
	require.NoError(t, store.AddDataKey(ctx, key))
	require.NoError(t, store.ReplaceDataKey(ctx, &egopb.DataKey{KeyId: "k", PersistenceId: "a", Version: 1, Wrapped: []byte("again"), MasterKeyId: "two"}, "one"))
	require.NoError(t, errors.Join(store.BeginErasure(ctx, "a"), store.FinishErasure(ctx, "a")))
	_, err := store.ListDataKeys(ctx, "", 0, 10)
	require.NoError(t, err)
}
