package persistencetest

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func deleteCases() []Case {
	return []Case{
		{"Events/DeleteUpTo", deleteUpTo, needEvents},
		{"Events/DeleteOfUnknown", deleteUnknown, needEvents},
		{"Events/DeleteLeavesTombstone", deleteLeavesTombstone, needEvents},
		{"Events/DeleteErasesContent", deleteErasesContent, needEvents},
		{"Events/DeleteKeepsFence", deleteKeepsFence, needEvents},
		{"Events/DeleteNumbersGoOn", deleteNumbersGoOn, needEvents},
		{"Events/DeleteLeavesShardWithoutGap", deleteLeavesShard, needEvents},
	}
}

func deleteEvents(t testing.TB, s Stores, id string, to uint64) {
	t.Helper()
	require.NoError(t, s.Events.DeleteEvents(t.Context(), id, to))
}

func deleteUpTo(t testing.TB, s Stores) {
	write(t, s, eventsOf("a", 1, 10)...)
	write(t, s, eventsOf("b", 1, 10)...)
	for _, c := range []struct{ to, first uint64 }{
		{to: 0, first: 1}, {to: 1, first: 2}, {to: 4, first: 5}, {to: 4, first: 5}, {to: 2, first: 5}, {to: 9, first: 10},
	} {
		deleteEvents(t, s, "a", c.to)
		requireEvents(t, s, eventsOf("a", c.first, 10), replay(t, s, "a", 0, math.MaxUint64))
		requireEvent(t, s, newEvent("a", 10), latest(t, s, "a"))
	}
	requireEvents(t, s, eventsOf("a", 10, 10), replay(t, s, "a", 5, 10))
	require.Empty(t, replay(t, s, "a", 1, 9))
	deleteEvents(t, s, "a", math.MaxUint64)
	require.Empty(t, replay(t, s, "a", 0, math.MaxUint64))
	requireEvents(t, s, eventsOf("b", 1, 10), replay(t, s, "b", 1, 10))
}

func deleteUnknown(t testing.TB, s Stores) {
	write(t, s, newEvent("a", 1))
	before := content(t, s)
	for _, id := range []string{"unknown", "A", "a%", "%", "_"} {
		deleteEvents(t, s, id, 10)
		requireNothing(t, s, id)
	}
	requireUntouched(t, s, before, "a")
}

func deleteLeavesTombstone(t testing.TB, s Stores) {
	write(t, s, eventsOf("a", 1, 5)...)
	position := latest(t, s, "a").GetPosition()
	for range 2 { // deleting again changes nothing
		deleteEvents(t, s, "a", 5)
		requireTombstone(t, s, newEvent("a", 5), latest(t, s, "a"))
		require.Equal(t, position, latest(t, s, "a").GetPosition())
		require.Empty(t, replay(t, s, "a", 1, 10), "tombstones are not replayed")
	}
}

// requireTombstone checks what is left of an event.
func requireTombstone(t testing.TB, s Stores, event, got *egopb.Event) {
	t.Helper()
	require.NotNil(t, got, "the tombstone is lost")
	require.True(t, got.GetDeleted())
	requireProto(t, &egopb.Event{
		PersistenceId:  event.GetPersistenceId(),
		SequenceNumber: event.GetSequenceNumber(),
		Shard:          persistence.ShardOf(event.GetPersistenceId(), s.Events.ShardCount()),
		Position:       got.GetPosition(), // checked by its readers
		Kind:           event.GetKind(),
		TimeUnixNano:   got.GetTimeUnixNano(), // may be kept
		Deleted:        true,
	}, got)
}

func deleteErasesContent(t testing.TB, s Stores) { // G10
	write(t, s, fullEvent(1), fullEvent(2))
	deleteEvents(t, s, "a", 2)
	requireTombstone(t, s, fullEvent(2), latest(t, s, "a"))
	events := shardEvents(t, s, persistence.ShardOf("a", s.Events.ShardCount()), 10)
	require.Len(t, events, 2)
	for i, event := range events {
		requireTombstone(t, s, fullEvent(uint64(i+1)), event)
	}
}

// deleteKeepsFence lets a writer that slept through a deletion try every number that it may believe to be next.
func deleteKeepsFence(t testing.TB, s Stores) { // G2
	for _, to := range []uint64{3, 5, 100} { // some, all, more than all
		id := fmt.Sprintf("entity-%d", to)
		write(t, s, eventsOf(id, 1, 5)...)
		deleteEvents(t, s, id, to)
		for number := uint64(1); number <= 5; number++ {
			err := s.Events.WriteEvents(t.Context(), eventsOf(id, number, number+5))
			requireConflict(t, err, persistence.ConflictError{PersistenceID: id, Expected: number, Actual: 5})
		}
		err := s.Events.WriteEvents(t.Context(), eventsOf(id, 7, 7))
		requireConflict(t, err, persistence.ConflictError{PersistenceID: id, Expected: 7, Actual: 5})
	}
}

func deleteNumbersGoOn(t testing.TB, s Stores) { // G2
	write(t, s, eventsOf("a", 1, 5)...)
	deleteEvents(t, s, "a", 5)
	write(t, s, eventsOf("a", 6, 8)...)
	requireEvents(t, s, eventsOf("a", 6, 8), replay(t, s, "a", 1, 10))
	requireEvent(t, s, newEvent("a", 8), latest(t, s, "a"))
	deleteEvents(t, s, "a", 7)
	requireEvents(t, s, eventsOf("a", 8, 8), replay(t, s, "a", 1, 10))
}

func deleteLeavesShard(t testing.TB, s Stores) { // G3
	ids := idsInShard(s.Events.ShardCount(), 3)
	for number := uint64(1); number <= 10; number++ {
		for _, id := range ids {
			write(t, s, newEvent(id, number))
		}
	}
	deleteEvents(t, s, ids[0], 10)
	deleteEvents(t, s, ids[1], 4)
	for _, page := range []int{1, 4, 100} {
		events := shardEvents(t, s, 0, page)
		require.Len(t, events, 30)
		for i, got := range events {
			want := newEvent(ids[i%3], uint64(i/3+1))
			if i%3 == 0 || i%3 == 1 && want.GetSequenceNumber() <= 4 {
				requireTombstone(t, s, want, got)
			} else {
				requireEvent(t, s, want, got)
			}
		}
	}
	write(t, s, newEvent(ids[0], 11))
	require.Equal(t, uint64(31), latest(t, s, ids[0]).GetPosition())
}
