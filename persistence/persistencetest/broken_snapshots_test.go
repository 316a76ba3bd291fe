package persistencetest_test

import (
	"cmp"
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// alteredSnapshots changes snapshots before they are stored.
func alteredSnapshots(change func(snapshot *egopb.Snapshot)) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) {
		o.writeSnapshot = func(ctx context.Context, snapshot *egopb.Snapshot) error {
			snapshot = proto.CloneOf(snapshot)
			change(snapshot)
			return m.WriteSnapshot(ctx, snapshot)
		}
	})
}

func brokenSnapshots() []broken {
	return []broken{
		{"LatestSnapshotIsNewest", []string{"Snapshots/Latest"}, override(func(o *overridden, m *memory.Store) {
			newest := make(map[string]*egopb.Snapshot)
			o.writeSnapshot = func(ctx context.Context, snapshot *egopb.Snapshot) error {
				newest[snapshot.GetPersistenceId()] = proto.CloneOf(snapshot)
				return m.WriteSnapshot(ctx, snapshot)
			}
			o.getLatestSnapshot = func(_ context.Context, id string) (*egopb.Snapshot, error) {
				return proto.CloneOf(newest[id]), nil
			}
		})},
		{"SnapshotsBelowOnly", []string{"Snapshots/AtOrBelow"}, override(func(o *overridden, m *memory.Store) {
			o.getSnapshot = func(ctx context.Context, id string, highest uint64) (*egopb.Snapshot, error) {
				return m.GetSnapshot(ctx, id, max(highest, 1)-1)
			}
		})},
		{"KeepsFirstSnapshot", []string{"Snapshots/Replace"}, override(func(o *overridden, m *memory.Store) {
			o.writeSnapshot = func(ctx context.Context, snapshot *egopb.Snapshot) error {
				stored, err := m.GetSnapshot(ctx, snapshot.GetPersistenceId(), snapshot.GetSequenceNumber())
				if stored.GetSequenceNumber() == snapshot.GetSequenceNumber() {
					return err
				}
				return m.WriteSnapshot(ctx, snapshot)
			}
		})},
		{"DeletesSnapshotsBelow", []string{"Snapshots/DeleteUpTo"}, override(func(o *overridden, m *memory.Store) {
			o.deleteSnapshots = func(ctx context.Context, id string, to uint64) error {
				return m.DeleteSnapshots(ctx, id, max(to, 1)-1)
			}
		})},
		{"DropsHandledCommands", []string{"Snapshots/AllFields"}, alteredSnapshots(func(snapshot *egopb.Snapshot) {
			snapshot.HandledCommands = nil
		})},
		{"FoldsSnapshotIDs", []string{"Snapshots/OddIDs"}, alteredSnapshots(func(snapshot *egopb.Snapshot) {
			snapshot.PersistenceId = cmp.Or(fold(snapshot.GetPersistenceId()), snapshot.GetPersistenceId())
		})},
		{"SkipsInvalidSnapshots", []string{"Snapshots/InvalidRecords"}, override(func(o *overridden, m *memory.Store) {
			o.writeSnapshot = func(ctx context.Context, snapshot *egopb.Snapshot) error {
				if persistence.CheckID(snapshot.GetPersistenceId()) == nil {
					return m.WriteSnapshot(ctx, snapshot)
				}
				return nil
			}
		})},
		{"KeepsSnapshots", []string{"Snapshots/KeepsAndSharesNothing"}, override(func(o *overridden, _ *memory.Store) {
			kept := make(map[string]*egopb.Snapshot)
			o.writeSnapshot = func(_ context.Context, snapshot *egopb.Snapshot) error {
				kept[snapshot.GetPersistenceId()] = snapshot
				return nil
			}
			o.getLatestSnapshot = func(_ context.Context, id string) (*egopb.Snapshot, error) { return kept[id], nil }
		})},
	}
}
