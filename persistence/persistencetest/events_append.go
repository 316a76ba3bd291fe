package persistencetest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func appendCases() []Case {
	return []Case{
		{"Events/Append", appendOne, needEvents},
		{"Events/AppendContinues", appendContinues, needEvents},
		{"Events/AppendManyEntities", appendMany, needEvents},
		{"Events/AppendNothing", appendNothing, needEvents},
		{"Events/BatchIsAtomic", batchIsAtomic, needEvents},
		{"Events/InvalidRecords", invalidRecords, needEvents},
		{"Events/BatchWithInvalidRecordIsAtomic", batchWithInvalidRecord, needEvents},
	}
}

func appendOne(t testing.TB, s Stores) {
	write(t, s, newEvent("a", 1))
	requireEvent(t, s, newEvent("a", 1), latest(t, s, "a"))
	require.Equal(t, uint64(1), latest(t, s, "a").GetPosition())
	requireEvents(t, s, eventsOf("a", 1, 1), replay(t, s, "a", 1, 1))
	shard := persistence.ShardOf("a", s.Events.ShardCount())
	requireEvents(t, s, eventsOf("a", 1, 1), shardEvents(t, s, shard, 10))
}

func appendContinues(t testing.TB, s Stores) {
	for from := uint64(1); from < 30; from += 3 {
		write(t, s, eventsOf("a", from, from+2)...)
		requireEvent(t, s, newEvent("a", from+2), latest(t, s, "a"))
	}
	requireEvents(t, s, eventsOf("a", 1, 30), replay(t, s, "a", 1, 30))
}

// appendMany writes a batch in which the events of many entities alternate.
func appendMany(t testing.TB, s Stores) {
	const entities, rounds = 50, 4
	var batch []*egopb.Event
	for number := uint64(1); number <= rounds; number++ {
		for i := range entities {
			batch = append(batch, newEvent(fmt.Sprintf("entity-%d", i), number))
		}
	}
	write(t, s, batch...)
	for i := range entities {
		id := fmt.Sprintf("entity-%d", i)
		requireEvents(t, s, eventsOf(id, 1, rounds), replay(t, s, id, 1, rounds))
	}
	total := 0
	for shard := range s.Events.ShardCount() {
		var want []*egopb.Event
		for _, event := range batch {
			if persistence.ShardOf(event.GetPersistenceId(), s.Events.ShardCount()) == shard {
				want = append(want, event)
			}
		}
		requireEvents(t, s, want, shardEvents(t, s, shard, 7)) // in the order of the batch
		total += len(want)
	}
	require.Equal(t, entities*rounds, total)
}

func appendNothing(t testing.TB, s Stores) {
	require.NoError(t, s.Events.WriteEvents(t.Context(), nil))
	require.NoError(t, s.Events.WriteEvents(t.Context(), []*egopb.Event{}))
	positions, err := s.Events.ShardPositions(t.Context())
	require.NoError(t, err)
	require.Empty(t, positions)
}

// batchIsAtomic puts one conflict at several places of a batch over many entities and shards.
func batchIsAtomic(t testing.TB, s Stores) { // G2
	write(t, s, eventsOf("known", 1, 2)...)
	before := content(t, s)
	for _, place := range []int{0, 10, 20} {
		var batch []*egopb.Event
		var ids []string
		for i := range 20 {
			ids = append(ids, fmt.Sprintf("new-%d", i))
			batch = append(batch, eventsOf(ids[i], 1, 2)...)
		}
		batch = slices.Insert(batch, place*2, eventsOf("known", 2, 3)...)
		requireConflict(t, s.Events.WriteEvents(t.Context(), batch),
			persistence.ConflictError{PersistenceID: "known", Expected: 2, Actual: 2})
		requireNothing(t, s, ids...)
		requireUntouched(t, s, before, "known")
	}
}

// requireUntouched checks that refused writes left nothing behind, where only the ids given are known.
func requireUntouched(t testing.TB, s Stores, before []string, known ...string) {
	t.Helper()
	require.Equal(t, before, content(t, s), "a refused write left something behind")
	ids, _, err := s.Events.PersistenceIDs(t.Context(), 1_000, "")
	require.NoError(t, err)
	require.ElementsMatch(t, known, ids)
}

// refused returns events that no store may accept.
func refused() map[string]*egopb.Event {
	with := func(change func(event *egopb.Event)) *egopb.Event {
		event := newEvent("a", 1)
		change(event)
		return event
	}
	return map[string]*egopb.Event{
		"nil":             nil,
		"no id":           with(func(e *egopb.Event) { e.PersistenceId = "" }),
		"long id":         with(func(e *egopb.Event) { e.PersistenceId = strings.Repeat("x", persistence.MaxIDLength+1) }),
		"invalid UTF-8":   with(func(e *egopb.Event) { e.PersistenceId = "a\xff" }),
		"zero byte":       with(func(e *egopb.Event) { e.PersistenceId = "a\x00b" }),
		"number zero":     with(func(e *egopb.Event) { e.SequenceNumber = 0 }),
		"number too high": with(func(e *egopb.Event) { e.SequenceNumber = math.MaxInt64 + 1 }),
		"tombstone":       with(func(e *egopb.Event) { e.Deleted = true }),
	}
}

func invalidRecords(t testing.TB, s Stores) {
	before := content(t, s)
	for name, event := range refused() {
		err := s.Events.WriteEvents(t.Context(), []*egopb.Event{event})
		require.ErrorIs(t, err, persistence.ErrInvalidRecord, name)
		require.True(t, persistence.NotWritten(err), name)
		var invalid *persistence.InvalidRecordError
		require.ErrorAs(t, err, &invalid, name)
		require.NotEmpty(t, invalid.Reason, name)
	}
	requireUntouched(t, s, before)
}

func batchWithInvalidRecord(t testing.TB, s Stores) {
	before := content(t, s)
	for name, event := range refused() {
		batch := append(eventsOf("b", 1, 2), event)
		batch = append(batch, eventsOf("c", 1, 2)...)
		require.ErrorIs(t, s.Events.WriteEvents(t.Context(), batch), persistence.ErrInvalidRecord, name)
	}
	requireNothing(t, s, "a", "b", "c")
	requireUntouched(t, s, before)
}
