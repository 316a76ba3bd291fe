package persistencetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func conflictCases() []Case {
	return []Case{
		{"Events/ConflictOfStaleWriter", conflictStale, needEvents},
		{"Events/ConflictOfGap", conflictGap, needEvents},
		{"Events/ConflictWithinBatch", conflictWithinBatch, needEvents},
		{"Events/ConflictNamesFirstEntity", conflictNamesFirst, needEvents},
		{"Events/ConflictIsTheSameEachTime", conflictRepeats, needEvents},
		{"Events/ConflictOfConcurrentWriters", conflictConcurrent, needEvents},
	}
}

func conflictStale(t testing.TB, s Stores) { // G2
	write(t, s, eventsOf("a", 1, 3)...)
	for _, first := range []uint64{1, 2, 3} {
		stale := newEvent("a", first)
		stale.Payload.Value = []byte("fork")
		err := s.Events.WriteEvents(t.Context(), append([]*egopb.Event{stale}, eventsOf("a", first+1, first+3)...))
		requireConflict(t, err, persistence.ConflictError{PersistenceID: "a", Expected: first, Actual: 3})
	}
	requireEvents(t, s, eventsOf("a", 1, 3), replay(t, s, "a", 1, 100))
}

func conflictGap(t testing.TB, s Stores) { // G2
	err := s.Events.WriteEvents(t.Context(), eventsOf("unknown", 2, 2))
	requireConflict(t, err, persistence.ConflictError{PersistenceID: "unknown", Expected: 2, Actual: 0})
	requireNothing(t, s, "unknown")

	write(t, s, eventsOf("a", 1, 3)...)
	for _, first := range []uint64{5, 6, 1 << 40} {
		err := s.Events.WriteEvents(t.Context(), eventsOf("a", first, first+1))
		requireConflict(t, err, persistence.ConflictError{PersistenceID: "a", Expected: first, Actual: 3})
	}
	requireEvents(t, s, eventsOf("a", 1, 3), replay(t, s, "a", 1, 1<<50))
}

// conflictWithinBatch has numbers that do not follow each other inside the batch.
func conflictWithinBatch(t testing.TB, s Stores) { // G2
	for name, numbers := range map[string][]uint64{
		"gap": {1, 3}, "repeated": {1, 1}, "backwards": {2, 1}, "repeated later": {1, 2, 3, 3},
	} {
		batch := []*egopb.Event{newEvent("b", 1)}
		for _, number := range numbers {
			batch = append(batch, newEvent("a", number))
		}
		err := s.Events.WriteEvents(t.Context(), batch)
		var conflict *persistence.ConflictError
		require.ErrorAs(t, err, &conflict, name)
		require.Equal(t, "a", conflict.PersistenceID, name)
		require.True(t, persistence.NotWritten(err), name)
		requireNothing(t, s, "a", "b")
	}
}

func conflictNamesFirst(t testing.TB, s Stores) {
	ids := []string{"m", "z", "b", "y", "a", "x"}
	for _, id := range ids {
		write(t, s, eventsOf(id, 1, 2)...)
	}
	for first, id := range ids { // the entities before it are fine, those after it are stale as well
		var batch []*egopb.Event
		for i, id := range ids {
			number := uint64(3)
			if i >= first {
				number = 2
			}
			batch = append(batch, newEvent(id, number))
		}
		err := s.Events.WriteEvents(t.Context(), batch)
		requireConflict(t, err, persistence.ConflictError{PersistenceID: id, Expected: 2, Actual: 2})
	}
}

func conflictRepeats(t testing.TB, s Stores) {
	write(t, s, eventsOf("a", 1, 3)...)
	for range 5 {
		err := s.Events.WriteEvents(t.Context(), slices.Concat(eventsOf("b", 1, 2), eventsOf("a", 2, 4)))
		want := persistence.ConflictError{PersistenceID: "a", Expected: 2, Actual: 3}
		requireConflict(t, err, want)
		requireConflict(t, fmt.Errorf("wrapped: %w", err), want)
	}
	requireNothing(t, s, "b")
	write(t, s, eventsOf("a", 4, 4)...) // refusals do not stand in the way
}

// conflictConcurrent lets writers race for the same numbers: each is given to exactly one of them.
func conflictConcurrent(t testing.TB, s Stores) { // G2
	const writers, rounds = 16, 10
	for round := uint64(1); round <= rounds; round++ {
		var winner atomic.Int64
		err := together(writers, func(i int) error {
			event := newEvent("a", round)
			event.WriterId = fmt.Sprintf("writer-%d", i)
			err := s.Events.WriteEvents(t.Context(), []*egopb.Event{event, newEvent(fmt.Sprintf("own-%d-%d", round, i), 1)})
			switch {
			case err == nil && !winner.CompareAndSwap(0, int64(i)+1):
				return errors.New("a number was given twice")
			case err != nil && !errors.Is(err, persistence.ErrConflict):
				return fmt.Errorf("want a conflict: %w", err)
			}
			return nil
		})
		require.NoError(t, err)
		require.NotZero(t, winner.Load(), "nobody won")
		stored := latest(t, s, "a")
		require.Equal(t, round, stored.GetSequenceNumber())
		require.Equal(t, fmt.Sprintf("writer-%d", winner.Load()-1), stored.GetWriterId())
		for i := range writers {
			own := latest(t, s, fmt.Sprintf("own-%d-%d", round, i))
			require.Equal(t, int64(i)+1 == winner.Load(), own != nil, "a refused batch left an event")
		}
	}
}
