package persistencetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/offsetstore"
)

// prepare writes one record of every kind for the entity, owner and consumer "before", and returns the lease it took.
func prepare(t testing.TB, s Stores) offsetstore.Lease {
	t.Helper()
	if s.Events != nil {
		write(t, s, newEvent("before", 1))
	}
	if s.Snapshots != nil {
		require.NoError(t, s.Snapshots.WriteSnapshot(t.Context(), newSnapshot("before", 1)))
	}
	if s.States != nil {
		writeStates(t, s, newState("before", 1))
	}
	if s.Timers != nil {
		schedule(t, s, newTimer("before", "a", 1))
	}
	if s.Keys != nil {
		addKeys(t, s, newKey("before", 1))
	}
	lease := offsetstore.Lease{Consumer: "before", Owner: "owner", Epoch: 1}
	if s.Offsets != nil {
		lease = acquire(t, s, "before", "owner", 0)
		require.NoError(t, s.Offsets.CommitOffset(t.Context(), lease, 1))
		if s.DeadLetters != nil {
			park(t, s, lease, newLetter(lease, "before", 1))
		}
	}
	return lease
}

// content returns everything that operations could have changed, as text.
func content(t testing.TB, s Stores) []string {
	t.Helper()
	var all []string
	if s.Events != nil {
		for shard := range s.Events.ShardCount() {
			all = append(all, texts(shardEvents(t, s, shard, 100))...)
		}
	}
	if s.Snapshots != nil {
		snapshot, err := s.Snapshots.GetLatestSnapshot(t.Context(), "before")
		require.NoError(t, err)
		all = append(all, prototext.Format(snapshot))
	}
	if s.States != nil {
		all = append(all, prototext.Format(latestState(t, s, "before")))
	}
	if s.Timers != nil {
		all = append(all, texts(ownerTimers(t, s, "before"))...)
	}
	if s.Offsets != nil {
		for _, l := range leases(t, s, "before") {
			all = append(all, fmt.Sprintf("%d %q %d %t", l.Shard, l.Owner, l.Epoch, l.Expires > 30*time.Minute))
		}
		all = append(all, texts(offsets(t, s, "before"))...)
	}
	if s.DeadLetters != nil && s.Offsets != nil {
		all = append(all, texts(letters(t, s, "before"))...)
	}
	if s.Keys != nil {
		keys, life, err := s.Keys.DataKeys(t.Context(), "before")
		require.NoError(t, err)
		all = append(append(all, texts(keys)...), fmt.Sprint(life))
	}
	return all
}

func texts[M proto.Message](messages []M) []string {
	all := make([]string, len(messages))
	for i, message := range messages {
		all[i] = prototext.Format(message)
	}
	return all
}
