package persistencetest

import (
	"context"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

type faultyStates struct {
	faultyStore
	store persistence.StateStore
}

func (s *faultyStates) WriteState(ctx context.Context, state *egopb.DurableState) error {
	return s.faults.call(ctx, "WriteState", func() error { return s.store.WriteState(ctx, state) })
}

func (s *faultyStates) GetLatestState(ctx context.Context, persistenceID string) (*egopb.DurableState, error) {
	return callFor(ctx, s.faults, "GetLatestState", func() (*egopb.DurableState, error) {
		return s.store.GetLatestState(ctx, persistenceID)
	})
}

func (s *faultyStates) DeleteState(ctx context.Context, persistenceID string) error {
	return s.faults.call(ctx, "DeleteState", func() error { return s.store.DeleteState(ctx, persistenceID) })
}

func (s *faultyStates) GetShardStates(ctx context.Context, shard uint32, afterPosition uint64, limit int) ([]*egopb.DurableState, error) {
	return callFor(ctx, s.faults, "GetShardStates", func() ([]*egopb.DurableState, error) {
		return s.store.GetShardStates(ctx, shard, afterPosition, limit)
	})
}

func (s *faultyStates) ShardStatePositions(ctx context.Context) (map[uint32]uint64, error) {
	return callFor(ctx, s.faults, "ShardStatePositions", func() (map[uint32]uint64, error) {
		return s.store.ShardStatePositions(ctx)
	})
}

func (s *faultyStates) ShardCount() uint32 { return s.store.ShardCount() }

type faultyTimers struct {
	faultyStore
	store persistence.TimerStore
}

func (s *faultyTimers) ScheduleTimers(ctx context.Context, timers []*egopb.Timer) error {
	return s.faults.call(ctx, "ScheduleTimers", func() error { return s.store.ScheduleTimers(ctx, timers) })
}

func (s *faultyTimers) CancelTimers(ctx context.Context, owner string, names ...string) error {
	return s.faults.call(ctx, "CancelTimers", func() error { return s.store.CancelTimers(ctx, owner, names...) })
}

func (s *faultyTimers) ClaimTimers(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
	return callFor(ctx, s.faults, "ClaimTimers", func() ([]*egopb.Timer, error) {
		return s.store.ClaimTimers(ctx, now, claim, limit)
	})
}

func (s *faultyTimers) CompleteTimer(ctx context.Context, owner, name string, version uint64) error {
	return s.faults.call(ctx, "CompleteTimer", func() error { return s.store.CompleteTimer(ctx, owner, name, version) })
}

func (s *faultyTimers) OwnerTimers(ctx context.Context, owner string) ([]*egopb.Timer, error) {
	return callFor(ctx, s.faults, "OwnerTimers", func() ([]*egopb.Timer, error) { return s.store.OwnerTimers(ctx, owner) })
}

func (s *faultyTimers) NextTimer(ctx context.Context) (due time.Time, ok bool, err error) {
	due, err = callFor(ctx, s.faults, "NextTimer", func() (due time.Time, err error) {
		due, ok, err = s.store.NextTimer(ctx)
		return due, err
	})
	return due, ok && err == nil, err
}
