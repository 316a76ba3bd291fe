package persistencetest

import (
	"context"
	"iter"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A faultyStore has what all wrapped stores have in common.
type faultyStore struct {
	faults *Faults
	store  persistence.Store
}

func (s *faultyStore) Connect(ctx context.Context) error {
	return s.faults.call(ctx, "Connect", func() error { return s.store.Connect(ctx) })
}

func (s *faultyStore) Disconnect(ctx context.Context) error {
	return s.faults.call(ctx, "Disconnect", func() error { return s.store.Disconnect(ctx) })
}

func (s *faultyStore) Ping(ctx context.Context) error {
	return s.faults.call(ctx, "Ping", func() error { return s.store.Ping(ctx) })
}

type faultyEvents struct {
	faultyStore
	store persistence.EventsStore
}

func (s *faultyEvents) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	return s.faults.call(ctx, "WriteEvents", func() error { return s.store.WriteEvents(ctx, events) })
}

func (s *faultyEvents) ReplayEvents(ctx context.Context, persistenceID string, from, to uint64) iter.Seq2[*egopb.Event, error] {
	return sequence(ctx, s.faults, "ReplayEvents", s.store.ReplayEvents(ctx, persistenceID, from, to))
}

func (s *faultyEvents) GetLatestEvent(ctx context.Context, persistenceID string) (*egopb.Event, error) {
	return callFor(ctx, s.faults, "GetLatestEvent", func() (*egopb.Event, error) {
		return s.store.GetLatestEvent(ctx, persistenceID)
	})
}

func (s *faultyEvents) DeleteEvents(ctx context.Context, persistenceID string, toSequenceNumber uint64) error {
	return s.faults.call(ctx, "DeleteEvents", func() error {
		return s.store.DeleteEvents(ctx, persistenceID, toSequenceNumber)
	})
}

func (s *faultyEvents) PersistenceIDs(ctx context.Context, pageSize int, pageToken string) ([]string, string, error) {
	type page struct {
		ids  []string
		next string
	}
	p, err := callFor(ctx, s.faults, "PersistenceIDs", func() (p page, err error) {
		p.ids, p.next, err = s.store.PersistenceIDs(ctx, pageSize, pageToken)
		return p, err
	})
	return p.ids, p.next, err
}

func (s *faultyEvents) GetShardEvents(ctx context.Context, shard uint32, afterPosition uint64, limit int) ([]*egopb.Event, error) {
	return callFor(ctx, s.faults, "GetShardEvents", func() ([]*egopb.Event, error) {
		return s.store.GetShardEvents(ctx, shard, afterPosition, limit)
	})
}

func (s *faultyEvents) ShardPositions(ctx context.Context) (map[uint32]uint64, error) {
	return callFor(ctx, s.faults, "ShardPositions", func() (map[uint32]uint64, error) {
		return s.store.ShardPositions(ctx)
	})
}

func (s *faultyEvents) ShardCount() uint32 { return s.store.ShardCount() }

type faultySnapshots struct {
	faultyStore
	store persistence.SnapshotStore
}

func (s *faultySnapshots) WriteSnapshot(ctx context.Context, snapshot *egopb.Snapshot) error {
	return s.faults.call(ctx, "WriteSnapshot", func() error { return s.store.WriteSnapshot(ctx, snapshot) })
}

func (s *faultySnapshots) GetLatestSnapshot(ctx context.Context, persistenceID string) (*egopb.Snapshot, error) {
	return callFor(ctx, s.faults, "GetLatestSnapshot", func() (*egopb.Snapshot, error) {
		return s.store.GetLatestSnapshot(ctx, persistenceID)
	})
}

func (s *faultySnapshots) GetSnapshot(ctx context.Context, persistenceID string, maxSequenceNumber uint64) (*egopb.Snapshot, error) {
	return callFor(ctx, s.faults, "GetSnapshot", func() (*egopb.Snapshot, error) {
		return s.store.GetSnapshot(ctx, persistenceID, maxSequenceNumber)
	})
}

func (s *faultySnapshots) DeleteSnapshots(ctx context.Context, persistenceID string, toSequenceNumber uint64) error {
	return s.faults.call(ctx, "DeleteSnapshots", func() error {
		return s.store.DeleteSnapshots(ctx, persistenceID, toSequenceNumber)
	})
}
