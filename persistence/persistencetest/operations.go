package persistencetest

import (
	"context"
	"iter"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
)

// An operation is a valid call of one method, on a data set where the entity "before" has one record of every kind.
type operation struct {
	name string
	call func(ctx context.Context) error
}

// operations returns a call of every method that needs a connection.
func operations(s Stores, lease offsetstore.Lease) []operation {
	var all []operation
	for _, store := range s.stores() {
		all = append(all, operation{"Ping", store.Ping})
	}
	if s.Events != nil {
		all = append(all, eventOperations(s)...)
	}
	if s.Snapshots != nil {
		all = append(all, snapshotOperations(s)...)
	}
	if s.States != nil {
		all = append(all, stateOperations(s)...)
	}
	if s.Timers != nil {
		all = append(all, timerOperations(s)...)
	}
	if s.Offsets != nil {
		all = append(all, offsetOperations(s, lease)...)
	}
	if s.DeadLetters != nil {
		all = append(all, letterOperations(s, lease)...)
	}
	if s.Keys != nil {
		all = append(all, keyOperations(s)...)
	}
	return all
}

func eventOperations(s Stores) []operation {
	return []operation{
		{"WriteEvents", func(ctx context.Context) error {
			return s.Events.WriteEvents(ctx, []*egopb.Event{newEvent("before", 2), newEvent("after", 1)})
		}},
		{"ReplayEvents", func(ctx context.Context) error { return drain(s.Events.ReplayEvents(ctx, "before", 1, 10)) }},
		{"GetLatestEvent", func(ctx context.Context) error { return only(s.Events.GetLatestEvent(ctx, "before")) }},
		{"DeleteEvents", func(ctx context.Context) error { return s.Events.DeleteEvents(ctx, "before", 1) }},
		{"PersistenceIDs", func(ctx context.Context) error {
			_, _, err := s.Events.PersistenceIDs(ctx, 10, "")
			return err
		}},
		{"GetShardEvents", func(ctx context.Context) error { return only(s.Events.GetShardEvents(ctx, 0, 0, 10)) }},
		{"ShardPositions", func(ctx context.Context) error { return only(s.Events.ShardPositions(ctx)) }},
	}
}

func snapshotOperations(s Stores) []operation {
	return []operation{
		{"WriteSnapshot", func(ctx context.Context) error { return s.Snapshots.WriteSnapshot(ctx, newSnapshot("before", 2)) }},
		{"GetLatestSnapshot", func(ctx context.Context) error { return only(s.Snapshots.GetLatestSnapshot(ctx, "before")) }},
		{"GetSnapshot", func(ctx context.Context) error { return only(s.Snapshots.GetSnapshot(ctx, "before", 2)) }},
		{"DeleteSnapshots", func(ctx context.Context) error { return s.Snapshots.DeleteSnapshots(ctx, "before", 1) }},
	}
}

func stateOperations(s Stores) []operation {
	return []operation{
		{"WriteState", func(ctx context.Context) error { return s.States.WriteState(ctx, newState("before", 2)) }},
		{"GetLatestState", func(ctx context.Context) error { return only(s.States.GetLatestState(ctx, "before")) }},
		{"DeleteState", func(ctx context.Context) error { return s.States.DeleteState(ctx, "before") }},
		{"GetShardStates", func(ctx context.Context) error { return only(s.States.GetShardStates(ctx, 0, 0, 10)) }},
		{"ShardStatePositions", func(ctx context.Context) error { return only(s.States.ShardStatePositions(ctx)) }},
	}
}

func timerOperations(s Stores) []operation {
	return []operation{
		{"ScheduleTimers", func(ctx context.Context) error {
			return s.Timers.ScheduleTimers(ctx, []*egopb.Timer{newTimer("before", "b", 1)})
		}},
		{"CancelTimers", func(ctx context.Context) error { return s.Timers.CancelTimers(ctx, "before") }},
		{"ClaimTimers", func(ctx context.Context) error {
			return only(s.Timers.ClaimTimers(ctx, time.Unix(0, 100), time.Minute, 10))
		}},
		{"CompleteTimer", func(ctx context.Context) error { return s.Timers.CompleteTimer(ctx, "before", "a", 1) }},
		{"OwnerTimers", func(ctx context.Context) error { return only(s.Timers.OwnerTimers(ctx, "before")) }},
		{"NextTimer", func(ctx context.Context) error {
			_, _, err := s.Timers.NextTimer(ctx)
			return err
		}},
	}
}

func offsetOperations(s Stores, lease offsetstore.Lease) []operation {
	return []operation{
		{"AcquireLeases", func(ctx context.Context) error {
			return only(s.Offsets.AcquireLeases(ctx, "before", "owner", []uint32{0, 1}, time.Minute))
		}},
		{"RenewLeases", func(ctx context.Context) error {
			return only(s.Offsets.RenewLeases(ctx, []offsetstore.Lease{lease}, time.Hour))
		}},
		{"Leases", func(ctx context.Context) error { return only(s.Offsets.Leases(ctx, "before")) }},
		{"CommitOffset", func(ctx context.Context) error { return s.Offsets.CommitOffset(ctx, lease, 2) }},
		{"Offsets", func(ctx context.Context) error { return only(s.Offsets.Offsets(ctx, "before")) }},
		{"ResetOffsets", func(ctx context.Context) error {
			return s.Offsets.ResetOffsets(ctx, "before", map[uint32]uint64{0: 9})
		}},
		{"ReleaseLeases", func(ctx context.Context) error { return s.Offsets.ReleaseLeases(ctx, []offsetstore.Lease{lease}) }},
		{"DeleteConsumer", func(ctx context.Context) error { return s.Offsets.DeleteConsumer(ctx, "before") }},
	}
}

func letterOperations(s Stores, lease offsetstore.Lease) []operation {
	return []operation{
		{"ParkEvents", func(ctx context.Context) error {
			return s.DeadLetters.ParkEvents(ctx, lease, []*egopb.DeadLetter{newLetter(lease, "before", 2)})
		}},
		{"DeadLetters", func(ctx context.Context) error { return drain(s.DeadLetters.DeadLetters(ctx, "before")) }},
		{"ParkedEntities", func(ctx context.Context) error { return only(s.DeadLetters.ParkedEntities(ctx, "before", 0)) }},
		{"DeleteDeadLetters", func(ctx context.Context) error { return s.DeadLetters.DeleteDeadLetters(ctx, "before", 0, 1) }},
	}
}

func keyOperations(s Stores) []operation {
	return []operation{
		{"DataKeys", func(ctx context.Context) error {
			_, _, err := s.Keys.DataKeys(ctx, "before")
			return err
		}},
		{"AddDataKey", func(ctx context.Context) error { return s.Keys.AddDataKey(ctx, newKey("before", 2)) }},
		{"ReplaceDataKey", func(ctx context.Context) error {
			return s.Keys.ReplaceDataKey(ctx, rewrapped(newKey("before", 1)), "master-1")
		}},
		{"ListDataKeys", func(ctx context.Context) error { return only(s.Keys.ListDataKeys(ctx, "", 0, 10)) }},
		{"LifeOf", func(ctx context.Context) error { return only(s.Keys.LifeOf(ctx, "before")) }},
		{"PendingErasures", func(ctx context.Context) error { return only(s.Keys.PendingErasures(ctx, "", 10)) }},
		{"Revive", func(ctx context.Context) error { return s.Keys.Revive(ctx, "before") }},
		{"BeginErasure", func(ctx context.Context) error { return s.Keys.BeginErasure(ctx, "before") }},
		{"FinishErasure", func(ctx context.Context) error { return s.Keys.FinishErasure(ctx, "before") }},
	}
}

// only drops the value of a call.
func only[T any](_ T, err error) error { return err }

// drain reads a sequence to its end or its first error.
func drain[T any](sequence iter.Seq2[T, error]) error {
	for _, err := range sequence {
		if err != nil {
			return err
		}
	}
	return nil
}
