package persistencetest

import (
	"context"
	"iter"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
)

type faultyOffsets struct {
	faultyStore
	store offsetstore.OffsetStore
}

func (s *faultyOffsets) AcquireLeases(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
	return callFor(ctx, s.faults, "AcquireLeases", func() ([]offsetstore.Lease, error) {
		return s.store.AcquireLeases(ctx, consumer, owner, shards, ttl)
	})
}

func (s *faultyOffsets) RenewLeases(ctx context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error) {
	return callFor(ctx, s.faults, "RenewLeases", func() ([]offsetstore.Lease, error) {
		return s.store.RenewLeases(ctx, leases, ttl)
	})
}

func (s *faultyOffsets) ReleaseLeases(ctx context.Context, leases []offsetstore.Lease) error {
	return s.faults.call(ctx, "ReleaseLeases", func() error { return s.store.ReleaseLeases(ctx, leases) })
}

func (s *faultyOffsets) Leases(ctx context.Context, consumer string) ([]offsetstore.Lease, error) {
	return callFor(ctx, s.faults, "Leases", func() ([]offsetstore.Lease, error) { return s.store.Leases(ctx, consumer) })
}

func (s *faultyOffsets) CommitOffset(ctx context.Context, lease offsetstore.Lease, position uint64) error {
	return s.faults.call(ctx, "CommitOffset", func() error { return s.store.CommitOffset(ctx, lease, position) })
}

func (s *faultyOffsets) Offsets(ctx context.Context, consumer string) ([]*egopb.Offset, error) {
	return callFor(ctx, s.faults, "Offsets", func() ([]*egopb.Offset, error) { return s.store.Offsets(ctx, consumer) })
}

func (s *faultyOffsets) ResetOffsets(ctx context.Context, consumer string, positions map[uint32]uint64) error {
	return s.faults.call(ctx, "ResetOffsets", func() error { return s.store.ResetOffsets(ctx, consumer, positions) })
}

func (s *faultyOffsets) DeleteConsumer(ctx context.Context, consumer string) error {
	return s.faults.call(ctx, "DeleteConsumer", func() error { return s.store.DeleteConsumer(ctx, consumer) })
}

type faultyLetters struct {
	faults *Faults
	store  offsetstore.DeadLetterStore
}

func (s *faultyLetters) ParkEvents(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error {
	return s.faults.call(ctx, "ParkEvents", func() error { return s.store.ParkEvents(ctx, lease, letters) })
}

func (s *faultyLetters) DeadLetters(ctx context.Context, consumer string, persistenceIDs ...string) iter.Seq2[*egopb.DeadLetter, error] {
	return sequence(ctx, s.faults, "DeadLetters", s.store.DeadLetters(ctx, consumer, persistenceIDs...))
}

func (s *faultyLetters) ParkedEntities(ctx context.Context, consumer string, shard uint32) ([]string, error) {
	return callFor(ctx, s.faults, "ParkedEntities", func() ([]string, error) {
		return s.store.ParkedEntities(ctx, consumer, shard)
	})
}

func (s *faultyLetters) DeleteDeadLetters(ctx context.Context, consumer string, shard uint32, positions ...uint64) error {
	return s.faults.call(ctx, "DeleteDeadLetters", func() error {
		return s.store.DeleteDeadLetters(ctx, consumer, shard, positions...)
	})
}

// A faultyBackend is all wrapped stores in one.
type faultyBackend struct {
	faultyEvents
	faultySnapshots
	faultyStates
	faultyTimers
	faultyOffsets
	faultyLetters
	common faultyStore
}

func (b *faultyBackend) Connect(ctx context.Context) error    { return b.common.Connect(ctx) }
func (b *faultyBackend) Disconnect(ctx context.Context) error { return b.common.Disconnect(ctx) }
func (b *faultyBackend) Ping(ctx context.Context) error       { return b.common.Ping(ctx) }
func (b *faultyBackend) ShardCount() uint32                   { return b.faultyEvents.ShardCount() }
