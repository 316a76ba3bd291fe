package persistencetest_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// An overridden is a memory store of which some methods are replaced. Those that are nil are the store's.
type overridden struct {
	*memory.Store

	connect, disconnect func(ctx context.Context) error

	writeEvents    func(ctx context.Context, events []*egopb.Event) error
	replayEvents   func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error]
	getLatestEvent func(ctx context.Context, id string) (*egopb.Event, error)
	deleteEvents   func(ctx context.Context, id string, to uint64) error
	persistenceIDs func(ctx context.Context, size int, token string) ([]string, string, error)
	getShardEvents func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error)
	shardPositions func(ctx context.Context) (map[uint32]uint64, error)

	writeSnapshot     func(ctx context.Context, snapshot *egopb.Snapshot) error
	getLatestSnapshot func(ctx context.Context, id string) (*egopb.Snapshot, error)
	getSnapshot       func(ctx context.Context, id string, highest uint64) (*egopb.Snapshot, error)
	deleteSnapshots   func(ctx context.Context, id string, to uint64) error

	writeState          func(ctx context.Context, state *egopb.DurableState) error
	getLatestState      func(ctx context.Context, id string) (*egopb.DurableState, error)
	deleteState         func(ctx context.Context, id string) error
	getShardStates      func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.DurableState, error)
	shardStatePositions func(ctx context.Context) (map[uint32]uint64, error)

	scheduleTimers func(ctx context.Context, timers []*egopb.Timer) error
	cancelTimers   func(ctx context.Context, owner string, names ...string) error
	claimTimers    func(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error)
	completeTimer  func(ctx context.Context, owner, name string, version uint64) error
	completeTimers func(ctx context.Context, timers []*egopb.Timer) error
	releaseTimers  func(ctx context.Context, timers []*egopb.Timer) error
	ownerTimers    func(ctx context.Context, owner string) ([]*egopb.Timer, error)
	nextTimer      func(ctx context.Context) (time.Time, bool, error)

	acquireLeases  func(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error)
	renewLeases    func(ctx context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error)
	releaseLeases  func(ctx context.Context, leases []offsetstore.Lease) error
	leases         func(ctx context.Context, consumer string) ([]offsetstore.Lease, error)
	commitOffset   func(ctx context.Context, lease offsetstore.Lease, position uint64) error
	offsets        func(ctx context.Context, consumer string) ([]*egopb.Offset, error)
	resetOffsets   func(ctx context.Context, consumer string, positions map[uint32]uint64) error
	deleteConsumer func(ctx context.Context, consumer string) error

	parkEvents        func(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error
	deadLetters       func(ctx context.Context, consumer string, ids ...string) iter.Seq2[*egopb.DeadLetter, error]
	parkedEntities    func(ctx context.Context, consumer string, shard uint32) ([]string, error)
	deleteDeadLetters func(ctx context.Context, consumer string, shard uint32, positions ...uint64) error
}

// override returns stores of which one is the memory store with some methods replaced.
func override(change func(o *overridden, m *memory.Store)) func(m *memory.Store) persistencetest.Stores {
	return func(m *memory.Store) persistencetest.Stores {
		o := &overridden{Store: m}
		change(o, m)
		return one(o)
	}
}

// one returns the stores of a backend that can be opened again.
func one(b persistencetest.Backend) persistencetest.Stores {
	return persistencetest.Stores{
		Events: b, Snapshots: b, States: b, Timers: b, Offsets: b, DeadLetters: b,
		Reopen: func(testing.TB) persistencetest.Stores { return one(b) },
	}
}

func (o *overridden) Connect(ctx context.Context) error {
	if o.connect != nil {
		return o.connect(ctx)
	}
	return o.Store.Connect(ctx)
}

func (o *overridden) Disconnect(ctx context.Context) error {
	if o.disconnect != nil {
		return o.disconnect(ctx)
	}
	return o.Store.Disconnect(ctx)
}

func (o *overridden) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	if o.writeEvents != nil {
		return o.writeEvents(ctx, events)
	}
	return o.Store.WriteEvents(ctx, events)
}

func (o *overridden) ReplayEvents(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
	if o.replayEvents != nil {
		return o.replayEvents(ctx, id, from, to)
	}
	return o.Store.ReplayEvents(ctx, id, from, to)
}

func (o *overridden) GetLatestEvent(ctx context.Context, id string) (*egopb.Event, error) {
	if o.getLatestEvent != nil {
		return o.getLatestEvent(ctx, id)
	}
	return o.Store.GetLatestEvent(ctx, id)
}

func (o *overridden) DeleteEvents(ctx context.Context, id string, to uint64) error {
	if o.deleteEvents != nil {
		return o.deleteEvents(ctx, id, to)
	}
	return o.Store.DeleteEvents(ctx, id, to)
}

func (o *overridden) PersistenceIDs(ctx context.Context, size int, token string) ([]string, string, error) {
	if o.persistenceIDs != nil {
		return o.persistenceIDs(ctx, size, token)
	}
	return o.Store.PersistenceIDs(ctx, size, token)
}

func (o *overridden) GetShardEvents(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
	if o.getShardEvents != nil {
		return o.getShardEvents(ctx, shard, after, limit)
	}
	return o.Store.GetShardEvents(ctx, shard, after, limit)
}

func (o *overridden) ShardPositions(ctx context.Context) (map[uint32]uint64, error) {
	if o.shardPositions != nil {
		return o.shardPositions(ctx)
	}
	return o.Store.ShardPositions(ctx)
}

func (o *overridden) WriteSnapshot(ctx context.Context, snapshot *egopb.Snapshot) error {
	if o.writeSnapshot != nil {
		return o.writeSnapshot(ctx, snapshot)
	}
	return o.Store.WriteSnapshot(ctx, snapshot)
}

func (o *overridden) GetLatestSnapshot(ctx context.Context, id string) (*egopb.Snapshot, error) {
	if o.getLatestSnapshot != nil {
		return o.getLatestSnapshot(ctx, id)
	}
	return o.Store.GetLatestSnapshot(ctx, id)
}

func (o *overridden) GetSnapshot(ctx context.Context, id string, highest uint64) (*egopb.Snapshot, error) {
	if o.getSnapshot != nil {
		return o.getSnapshot(ctx, id, highest)
	}
	return o.Store.GetSnapshot(ctx, id, highest)
}

func (o *overridden) DeleteSnapshots(ctx context.Context, id string, to uint64) error {
	if o.deleteSnapshots != nil {
		return o.deleteSnapshots(ctx, id, to)
	}
	return o.Store.DeleteSnapshots(ctx, id, to)
}

func (o *overridden) WriteState(ctx context.Context, state *egopb.DurableState) error {
	if o.writeState != nil {
		return o.writeState(ctx, state)
	}
	return o.Store.WriteState(ctx, state)
}

func (o *overridden) GetLatestState(ctx context.Context, id string) (*egopb.DurableState, error) {
	if o.getLatestState != nil {
		return o.getLatestState(ctx, id)
	}
	return o.Store.GetLatestState(ctx, id)
}

func (o *overridden) DeleteState(ctx context.Context, id string) error {
	if o.deleteState != nil {
		return o.deleteState(ctx, id)
	}
	return o.Store.DeleteState(ctx, id)
}

func (o *overridden) GetShardStates(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.DurableState, error) {
	if o.getShardStates != nil {
		return o.getShardStates(ctx, shard, after, limit)
	}
	return o.Store.GetShardStates(ctx, shard, after, limit)
}

func (o *overridden) ShardStatePositions(ctx context.Context) (map[uint32]uint64, error) {
	if o.shardStatePositions != nil {
		return o.shardStatePositions(ctx)
	}
	return o.Store.ShardStatePositions(ctx)
}

func (o *overridden) ScheduleTimers(ctx context.Context, timers []*egopb.Timer) error {
	if o.scheduleTimers != nil {
		return o.scheduleTimers(ctx, timers)
	}
	return o.Store.ScheduleTimers(ctx, timers)
}

func (o *overridden) CancelTimers(ctx context.Context, owner string, names ...string) error {
	if o.cancelTimers != nil {
		return o.cancelTimers(ctx, owner, names...)
	}
	return o.Store.CancelTimers(ctx, owner, names...)
}

func (o *overridden) ClaimTimers(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
	if o.claimTimers != nil {
		return o.claimTimers(ctx, now, claim, limit)
	}
	return o.Store.ClaimTimers(ctx, now, claim, limit)
}

func (o *overridden) CompleteTimer(ctx context.Context, owner, name string, version uint64) error {
	if o.completeTimer != nil {
		return o.completeTimer(ctx, owner, name, version)
	}
	return o.Store.CompleteTimer(ctx, owner, name, version)
}

func (o *overridden) CompleteTimers(ctx context.Context, timers []*egopb.Timer) error {
	if o.completeTimers != nil {
		return o.completeTimers(ctx, timers)
	}
	return o.Store.CompleteTimers(ctx, timers)
}

func (o *overridden) ReleaseTimers(ctx context.Context, timers []*egopb.Timer) error {
	if o.releaseTimers != nil {
		return o.releaseTimers(ctx, timers)
	}
	return o.Store.ReleaseTimers(ctx, timers)
}

func (o *overridden) OwnerTimers(ctx context.Context, owner string) ([]*egopb.Timer, error) {
	if o.ownerTimers != nil {
		return o.ownerTimers(ctx, owner)
	}
	return o.Store.OwnerTimers(ctx, owner)
}

func (o *overridden) NextTimer(ctx context.Context) (time.Time, bool, error) {
	if o.nextTimer != nil {
		return o.nextTimer(ctx)
	}
	return o.Store.NextTimer(ctx)
}

func (o *overridden) AcquireLeases(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
	if o.acquireLeases != nil {
		return o.acquireLeases(ctx, consumer, owner, shards, ttl)
	}
	return o.Store.AcquireLeases(ctx, consumer, owner, shards, ttl)
}

func (o *overridden) RenewLeases(ctx context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error) {
	if o.renewLeases != nil {
		return o.renewLeases(ctx, leases, ttl)
	}
	return o.Store.RenewLeases(ctx, leases, ttl)
}

func (o *overridden) ReleaseLeases(ctx context.Context, leases []offsetstore.Lease) error {
	if o.releaseLeases != nil {
		return o.releaseLeases(ctx, leases)
	}
	return o.Store.ReleaseLeases(ctx, leases)
}

func (o *overridden) Leases(ctx context.Context, consumer string) ([]offsetstore.Lease, error) {
	if o.leases != nil {
		return o.leases(ctx, consumer)
	}
	return o.Store.Leases(ctx, consumer)
}

func (o *overridden) CommitOffset(ctx context.Context, lease offsetstore.Lease, position uint64) error {
	if o.commitOffset != nil {
		return o.commitOffset(ctx, lease, position)
	}
	return o.Store.CommitOffset(ctx, lease, position)
}

func (o *overridden) Offsets(ctx context.Context, consumer string) ([]*egopb.Offset, error) {
	if o.offsets != nil {
		return o.offsets(ctx, consumer)
	}
	return o.Store.Offsets(ctx, consumer)
}

func (o *overridden) ResetOffsets(ctx context.Context, consumer string, positions map[uint32]uint64) error {
	if o.resetOffsets != nil {
		return o.resetOffsets(ctx, consumer, positions)
	}
	return o.Store.ResetOffsets(ctx, consumer, positions)
}

func (o *overridden) DeleteConsumer(ctx context.Context, consumer string) error {
	if o.deleteConsumer != nil {
		return o.deleteConsumer(ctx, consumer)
	}
	return o.Store.DeleteConsumer(ctx, consumer)
}

func (o *overridden) ParkEvents(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error {
	if o.parkEvents != nil {
		return o.parkEvents(ctx, lease, letters)
	}
	return o.Store.ParkEvents(ctx, lease, letters)
}

func (o *overridden) DeadLetters(ctx context.Context, consumer string, ids ...string) iter.Seq2[*egopb.DeadLetter, error] {
	if o.deadLetters != nil {
		return o.deadLetters(ctx, consumer, ids...)
	}
	return o.Store.DeadLetters(ctx, consumer, ids...)
}

func (o *overridden) ParkedEntities(ctx context.Context, consumer string, shard uint32) ([]string, error) {
	if o.parkedEntities != nil {
		return o.parkedEntities(ctx, consumer, shard)
	}
	return o.Store.ParkedEntities(ctx, consumer, shard)
}

func (o *overridden) DeleteDeadLetters(ctx context.Context, consumer string, shard uint32, positions ...uint64) error {
	if o.deleteDeadLetters != nil {
		return o.deleteDeadLetters(ctx, consumer, shard, positions...)
	}
	return o.Store.DeleteDeadLetters(ctx, consumer, shard, positions...)
}
