package persistencetest

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

func snapshotCases() []Case {
	return []Case{
		{"Snapshots/Latest", snapshotLatest, needSnapshots},
		{"Snapshots/AtOrBelow", snapshotAtOrBelow, needSnapshots},
		{"Snapshots/Replace", snapshotReplace, needSnapshots},
		{"Snapshots/DeleteUpTo", snapshotDelete, needSnapshots},
		{"Snapshots/AllFields", snapshotAllFields, needSnapshots},
		{"Snapshots/OddIDs", snapshotOddIDs, needSnapshots},
		{"Snapshots/InvalidRecords", snapshotInvalid, needSnapshots},
		{"Snapshots/KeepsAndSharesNothing", snapshotAliasing, needSnapshots},
	}
}

func writeSnapshots(t testing.TB, s Stores, snapshots ...*egopb.Snapshot) {
	t.Helper()
	for _, snapshot := range snapshots {
		require.NoError(t, s.Snapshots.WriteSnapshot(t.Context(), snapshot))
	}
}

func latestSnapshot(t testing.TB, s Stores, id string) *egopb.Snapshot {
	t.Helper()
	snapshot, err := s.Snapshots.GetLatestSnapshot(t.Context(), id)
	require.NoError(t, err)
	return snapshot
}

func snapshotBelow(t testing.TB, s Stores, id string, highest uint64) *egopb.Snapshot {
	t.Helper()
	snapshot, err := s.Snapshots.GetSnapshot(t.Context(), id, highest)
	require.NoError(t, err)
	return snapshot
}

func snapshotLatest(t testing.TB, s Stores) {
	require.Nil(t, latestSnapshot(t, s, "a"))
	highest := uint64(0)
	for _, number := range []uint64{10, 30, 20, 5, 100, 50} { // the highest number is the latest, whenever it was written
		writeSnapshots(t, s, newSnapshot("a", number), newSnapshot("b", 2*number))
		highest = max(highest, number)
		requireProto(t, newSnapshot("a", highest), latestSnapshot(t, s, "a"))
		requireProto(t, newSnapshot("b", 2*highest), latestSnapshot(t, s, "b"))
	}
	require.Nil(t, latestSnapshot(t, s, "unknown"))
}

func snapshotAtOrBelow(t testing.TB, s Stores) {
	writeSnapshots(t, s, newSnapshot("a", 20), newSnapshot("a", 10), newSnapshot("a", 30), newSnapshot("b", 15))
	for _, c := range []struct{ highest, want uint64 }{
		{highest: 0}, {highest: 9}, {highest: 10, want: 10}, {highest: 11, want: 10}, {highest: 19, want: 10},
		{highest: 20, want: 20}, {highest: 29, want: 20}, {highest: 30, want: 30}, {highest: 31, want: 30},
		{highest: math.MaxInt64, want: 30}, {highest: math.MaxUint64, want: 30},
	} {
		found := snapshotBelow(t, s, "a", c.highest)
		if c.want == 0 {
			require.Nil(t, found, "at or below %d", c.highest)
			continue
		}
		requireProto(t, newSnapshot("a", c.want), found)
	}
	require.Nil(t, snapshotBelow(t, s, "unknown", 100))
}

func snapshotReplace(t testing.TB, s Stores) {
	writeSnapshots(t, s, newSnapshot("a", 10), newSnapshot("a", 20))
	next := newSnapshot("a", 10)
	next.State.Value = []byte("replaced")
	for range 2 {
		writeSnapshots(t, s, next)
		requireProto(t, next, snapshotBelow(t, s, "a", 15))
		requireProto(t, newSnapshot("a", 20), latestSnapshot(t, s, "a"))
	}
}

func snapshotDelete(t testing.TB, s Stores) {
	for number := uint64(10); number <= 50; number += 10 {
		writeSnapshots(t, s, newSnapshot("a", number), newSnapshot("b", number))
	}
	for _, c := range []struct{ to, first uint64 }{
		{to: 0, first: 10}, {to: 9, first: 10}, {to: 10, first: 20}, {to: 35, first: 40}, {to: 20, first: 40},
	} {
		require.NoError(t, s.Snapshots.DeleteSnapshots(t.Context(), "a", c.to))
		require.Nil(t, snapshotBelow(t, s, "a", c.first-1))
		requireProto(t, newSnapshot("a", c.first), snapshotBelow(t, s, "a", c.first))
		requireProto(t, newSnapshot("a", 50), latestSnapshot(t, s, "a"))
	}
	require.NoError(t, s.Snapshots.DeleteSnapshots(t.Context(), "a", math.MaxUint64))
	require.Nil(t, latestSnapshot(t, s, "a"))
	require.NoError(t, s.Snapshots.DeleteSnapshots(t.Context(), "unknown", 10))
	requireProto(t, newSnapshot("b", 10), snapshotBelow(t, s, "b", 10))
	writeSnapshots(t, s, newSnapshot("a", 10))
	requireProto(t, newSnapshot("a", 10), latestSnapshot(t, s, "a"))
}

func snapshotAllFields(t testing.TB, s Stores) {
	full := fill(new(egopb.Snapshot))
	full.PersistenceId, full.SequenceNumber = "a", 7
	large := newSnapshot("large", 1)
	large.State.Value = bytes.Repeat([]byte{1, 0, 0xff, 3}, 1<<18)
	empty := &egopb.Snapshot{PersistenceId: "empty", SequenceNumber: 1, State: &anypb.Any{}}
	bare := &egopb.Snapshot{PersistenceId: "bare", SequenceNumber: 1}
	for _, snapshot := range []*egopb.Snapshot{full, large, empty, bare} {
		writeSnapshots(t, s, snapshot)
		requireProto(t, snapshot, latestSnapshot(t, s, snapshot.GetPersistenceId()))
		requireProto(t, snapshot, snapshotBelow(t, s, snapshot.GetPersistenceId(), 100))
	}
}

func snapshotOddIDs(t testing.TB, s Stores) {
	for i, id := range odd() {
		writeSnapshots(t, s, newSnapshot(id, uint64(i+1)))
	}
	require.NoError(t, s.Snapshots.DeleteSnapshots(t.Context(), odd()[0], 100))
	require.Nil(t, latestSnapshot(t, s, odd()[0]))
	for i, id := range odd()[1:] {
		requireProto(t, newSnapshot(id, uint64(i+2)), latestSnapshot(t, s, id))
	}
}

func snapshotInvalid(t testing.TB, s Stores) {
	for name, snapshot := range map[string]*egopb.Snapshot{
		"nil":           nil,
		"no id":         newSnapshot("", 1),
		"zero byte":     newSnapshot("a\x00", 1),
		"invalid UTF-8": newSnapshot("a\xff", 1),
		"long id":       newSnapshot(string(bytes.Repeat([]byte("x"), persistence.MaxIDLength+1)), 1),
	} {
		err := s.Snapshots.WriteSnapshot(t.Context(), snapshot)
		require.ErrorIs(t, err, persistence.ErrInvalidRecord, name)
		require.True(t, persistence.NotWritten(err), name)
	}
}

func snapshotAliasing(t testing.TB, s Stores) {
	snapshot := newSnapshot("a", 1)
	writeSnapshots(t, s, snapshot)
	for range 3 { // what was written, then what was read
		clear(snapshot.GetState().GetValue())
		snapshot.PersistenceId, snapshot.SequenceNumber = "changed", 99
		snapshot = latestSnapshot(t, s, "a")
		requireProto(t, newSnapshot("a", 1), snapshot)
	}
}
