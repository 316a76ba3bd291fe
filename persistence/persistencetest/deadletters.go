package persistencetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

func deadLetterCases() []Case {
	const needs = needOffsets | needDeadLetters
	return []Case{
		{"DeadLetters/Park", letterPark, needs},
		{"DeadLetters/ParkAgainReplaces", letterReplace, needs},
		{"DeadLetters/ParkNeedsLease", letterNeedsLease, needs},
		{"DeadLetters/ParkIsAtomic", letterAtomic, needs},
		{"DeadLetters/InOrder", letterOrder, needs},
		{"DeadLetters/ByEntity", letterByEntity, needs},
		{"DeadLetters/ParkedEntities", letterParkedEntities, needs},
		{"DeadLetters/Delete", letterDelete, needs},
		{"DeadLetters/ResetOffsetsForgetsThoseAbove", letterReset, needs},
		{"DeadLetters/DeleteConsumer", letterDeleteConsumer, needs},
		{"DeadLetters/AllFields", letterAllFields, needs},
		{"DeadLetters/BrokenOff", letterBrokenOff, needs},
		{"DeadLetters/KeepsAndSharesNothing", letterAliasing, needs},
	}
}

// newLetter returns a dead letter for the shard of a lease.
func newLetter(lease offsetstore.Lease, id string, position uint64) *egopb.DeadLetter {
	event := newEvent(id, position)
	event.Shard, event.Position = lease.Shard, position
	return &egopb.DeadLetter{Consumer: lease.Consumer, Event: event, Reason: fmt.Sprintf("reason %d", position), Attempts: 3, TimeUnixNano: 1}
}

func park(t testing.TB, s Stores, lease offsetstore.Lease, letters ...*egopb.DeadLetter) {
	t.Helper()
	require.NoError(t, s.DeadLetters.ParkEvents(t.Context(), lease, letters))
}

func letters(t testing.TB, s Stores, consumer string, ids ...string) []*egopb.DeadLetter {
	t.Helper()
	var all []*egopb.DeadLetter
	for letter, err := range s.DeadLetters.DeadLetters(t.Context(), consumer, ids...) {
		require.NoError(t, err)
		all = append(all, letter)
	}
	return all
}

func requireLetters(t testing.TB, want, got []*egopb.DeadLetter) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		requireProto(t, want[i], got[i])
	}
}

func parkedEntities(t testing.TB, s Stores, consumer string, shard uint32) []string {
	t.Helper()
	ids, err := s.DeadLetters.ParkedEntities(t.Context(), consumer, shard)
	require.NoError(t, err)
	return ids
}

func letterPark(t testing.TB, s Stores) {
	require.Empty(t, letters(t, s, "c"))
	lease, other := acquire(t, s, "c", "one", 3), acquire(t, s, "other", "one", 3)
	park(t, s, lease)
	park(t, s, lease, newLetter(lease, "a", 5))
	park(t, s, lease, newLetter(lease, "b", 6), newLetter(lease, "a", 8))
	park(t, s, other, newLetter(other, "a", 5))
	want := []*egopb.DeadLetter{newLetter(lease, "a", 5), newLetter(lease, "b", 6), newLetter(lease, "a", 8)}
	requireLetters(t, want, letters(t, s, "c"))
	requireLetters(t, []*egopb.DeadLetter{newLetter(other, "a", 5)}, letters(t, s, "other"))
	require.Empty(t, letters(t, s, "unknown"))
}

func letterReplace(t testing.TB, s Stores) {
	lease := acquire(t, s, "c", "one", 0)
	park(t, s, lease, newLetter(lease, "a", 5), newLetter(lease, "a", 6))
	next := newLetter(lease, "a", 5)
	next.Reason, next.Attempts = "another", 4
	for range 2 {
		park(t, s, lease, next)
		requireLetters(t, []*egopb.DeadLetter{next, newLetter(lease, "a", 6)}, letters(t, s, "c"))
	}
}

func letterNeedsLease(t testing.TB, s Stores) { // G5
	old, _ := tryAcquire(t, s, "c", "one", 0, shortLease)
	park(t, s, old, newLetter(old, "a", 1))
	next := takeOver(t, s, "c")
	refused := func(lease offsetstore.Lease) {
		t.Helper()
		for _, position := range []uint64{1, 2} {
			letter := newLetter(lease, "a", position)
			letter.Reason = "refused"
			err := s.DeadLetters.ParkEvents(t.Context(), lease, []*egopb.DeadLetter{letter})
			var stale *offsetstore.StaleLeaseError
			require.ErrorAs(t, err, &stale)
			require.Equal(t, lease.Epoch, stale.Epoch)
		}
	}
	refused(old)
	release(t, s, next)
	refused(next)
	refused(offsetstore.Lease{Consumer: "c", Shard: 1, Owner: "one", Epoch: 1})
	refused(offsetstore.Lease{Consumer: "unknown", Owner: "one", Epoch: 1})
	requireLetters(t, []*egopb.DeadLetter{newLetter(old, "a", 1)}, letters(t, s, "c"))
	require.Empty(t, letters(t, s, "unknown"))
}

func letterAtomic(t testing.TB, s Stores) {
	lease := acquire(t, s, "c", "one", 0)
	park(t, s, lease, newLetter(lease, "a", 1))
	for name, invalid := range map[string]*egopb.DeadLetter{"nil": nil, "no event": {Consumer: "c"}} {
		replaced := newLetter(lease, "a", 1)
		replaced.Reason = "replaced"
		err := s.DeadLetters.ParkEvents(t.Context(), lease, []*egopb.DeadLetter{replaced, newLetter(lease, "b", 2), invalid})
		require.ErrorIs(t, err, persistence.ErrInvalidRecord, name)
		require.True(t, persistence.NotWritten(err), name)
		requireLetters(t, []*egopb.DeadLetter{newLetter(lease, "a", 1)}, letters(t, s, "c"))
	}
}

func letterOrder(t testing.TB, s Stores) {
	var want []*egopb.DeadLetter
	for _, shard := range []uint32{1, 2, 10} {
		for _, position := range []uint64{2, 9, 10, 100, 1 << 40} {
			want = append(want, newLetter(offsetstore.Lease{Consumer: "c", Shard: shard}, "a", position))
		}
	}
	for _, shard := range []uint32{10, 1, 2} {
		lease := acquire(t, s, "c", "one", shard)
		for _, position := range []uint64{100, 2, 1 << 40, 10, 9} {
			park(t, s, lease, newLetter(lease, "a", position))
		}
	}
	requireLetters(t, want, letters(t, s, "c"))
}

func letterByEntity(t testing.TB, s Stores) {
	one, two := acquire(t, s, "c", "one", 1), acquire(t, s, "c", "one", 2)
	for position := uint64(1); position <= 9; position += 3 {
		park(t, s, two, newLetter(two, "b", position))
		park(t, s, one, newLetter(one, "a", position), newLetter(one, "A", position+1), newLetter(one, "a%", position+2))
	}
	of := func(lease offsetstore.Lease, id string, first uint64) []*egopb.DeadLetter {
		return []*egopb.DeadLetter{newLetter(lease, id, first), newLetter(lease, id, first+3), newLetter(lease, id, first+6)}
	}
	requireLetters(t, of(one, "a", 1), letters(t, s, "c", "a"))
	requireLetters(t, of(one, "A", 2), letters(t, s, "c", "A"))
	requireLetters(t, append(of(one, "a", 1), of(two, "b", 1)...), letters(t, s, "c", "b", "unknown", "a"))
	require.Empty(t, letters(t, s, "c", "unknown"))
	require.Len(t, letters(t, s, "c"), 12)
}

func letterParkedEntities(t testing.TB, s Stores) {
	lease := acquire(t, s, "c", "one", 0)
	require.Empty(t, parkedEntities(t, s, "c", 0))
	for i, id := range []string{"b", "\u00e9", "a", "B", "a", "b", "a "} {
		park(t, s, lease, newLetter(lease, id, uint64(i+1)))
	}
	park(t, s, acquire(t, s, "c", "one", 1), newLetter(offsetstore.Lease{Consumer: "c", Shard: 1}, "other", 1))
	require.Equal(t, []string{"B", "a", "a ", "b", "\u00e9"}, parkedEntities(t, s, "c", 0))
	require.Equal(t, []string{"other"}, parkedEntities(t, s, "c", 1))
	require.Empty(t, parkedEntities(t, s, "c", 2))
	require.Empty(t, parkedEntities(t, s, "unknown", 0))
	require.NoError(t, s.DeadLetters.DeleteDeadLetters(t.Context(), "c", 0, 3))
	require.Contains(t, parkedEntities(t, s, "c", 0), "a", "it has another one")
	require.NoError(t, s.DeadLetters.DeleteDeadLetters(t.Context(), "c", 0, 5))
	require.NotContains(t, parkedEntities(t, s, "c", 0), "a")
}

func letterDelete(t testing.TB, s Stores) {
	one, two := acquire(t, s, "c", "one", 0), acquire(t, s, "c", "one", 1)
	other := acquire(t, s, "other", "one", 0)
	for position := uint64(1); position <= 4; position++ {
		park(t, s, one, newLetter(one, "a", position))
		park(t, s, two, newLetter(two, "b", position))
		park(t, s, other, newLetter(other, "a", position))
	}
	for range 2 { // the second time there is nothing to delete
		require.NoError(t, s.DeadLetters.DeleteDeadLetters(t.Context(), "c", 0, 1, 3, 77))
		requireLetters(t, []*egopb.DeadLetter{newLetter(one, "a", 2), newLetter(one, "a", 4)}, letters(t, s, "c", "a"))
	}
	require.NoError(t, s.DeadLetters.DeleteDeadLetters(t.Context(), "c", 0))
	require.NoError(t, s.DeadLetters.DeleteDeadLetters(t.Context(), "unknown", 0, 1))
	require.Len(t, letters(t, s, "c"), 6)
	require.Len(t, letters(t, s, "other"), 4)
}

// letterReset sets offsets back, so events above them are delivered again: their letters must not hold them up.
func letterReset(t testing.TB, s Stores) {
	lease, untouched := acquire(t, s, "c", "one", 0), acquire(t, s, "c", "one", 1)
	other := acquire(t, s, "other", "one", 0)
	for position := uint64(1); position <= 4; position++ {
		park(t, s, lease, newLetter(lease, "a", position))
		park(t, s, untouched, newLetter(untouched, "b", position))
		park(t, s, other, newLetter(other, "a", position))
	}
	require.NoError(t, s.Offsets.ResetOffsets(t.Context(), "c", map[uint32]uint64{0: 2}))
	requireLetters(t, []*egopb.DeadLetter{newLetter(lease, "a", 1), newLetter(lease, "a", 2)}, letters(t, s, "c", "a"))
	require.Len(t, letters(t, s, "c", "b"), 4)
	require.Len(t, letters(t, s, "other"), 4)
	require.NoError(t, s.Offsets.ResetOffsets(t.Context(), "c", map[uint32]uint64{0: 0}))
	require.Empty(t, letters(t, s, "c", "a"))
}

func letterDeleteConsumer(t testing.TB, s Stores) {
	lease, other := acquire(t, s, "c", "one", 0), acquire(t, s, "other", "one", 0)
	park(t, s, lease, newLetter(lease, "a", 1))
	park(t, s, other, newLetter(other, "a", 1))
	deleteConsumer(t, s, "c")
	require.Empty(t, letters(t, s, "c"))
	require.Empty(t, parkedEntities(t, s, "c", 0))
	require.Len(t, letters(t, s, "other"), 1)
}

func letterAllFields(t testing.TB, s Stores) {
	lease := acquire(t, s, "c", "one", 0)
	full := fill(new(egopb.DeadLetter))
	full.Consumer, full.Event.Shard, full.Event.Position = "c", 0, 1
	bare := &egopb.DeadLetter{Consumer: "c", Event: &egopb.Event{PersistenceId: "a", SequenceNumber: 1, Position: 2}}
	large := newLetter(lease, "large", 3)
	large.Event.Payload.Value = make([]byte, 1<<20)
	park(t, s, lease, full, bare, large)
	requireLetters(t, []*egopb.DeadLetter{full, bare, large}, letters(t, s, "c"))
}

// letterBrokenOff leaves loops early, and works with the store inside a loop.
func letterBrokenOff(t testing.TB, s Stores) {
	lease := acquire(t, s, "c", "one", 0)
	const count = 40
	for position := uint64(1); position <= count; position++ {
		park(t, s, lease, newLetter(lease, "a", position))
	}
	for range 50 {
		for letter, err := range s.DeadLetters.DeadLetters(t.Context(), "c") {
			require.NoError(t, err)
			require.Equal(t, uint64(1), letter.GetEvent().GetPosition())
			break
		}
	}
	seen := 0
	for letter, err := range s.DeadLetters.DeadLetters(t.Context(), "c") { // as a retry does
		require.NoError(t, err)
		seen++
		require.NoError(t, s.DeadLetters.DeleteDeadLetters(t.Context(), "c", 0, letter.GetEvent().GetPosition()))
	}
	require.Equal(t, count, seen)
	require.Empty(t, letters(t, s, "c"))
}

func letterAliasing(t testing.TB, s Stores) {
	lease := acquire(t, s, "c", "one", 0)
	letter := newLetter(lease, "a", 1)
	want := proto.CloneOf(letter)
	park(t, s, lease, letter)
	for range 3 { // what was written, then what was read
		scribble(letter.GetEvent())
		letter.Reason = "changed"
		letter = letters(t, s, "c")[0]
		requireProto(t, want, letter)
	}
}
