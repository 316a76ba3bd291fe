package persistencetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

// AnyOperation stands for every operation in [Faults.On] and [Faults.Calls].
const AnyOperation = "*"

// Backend is a store that implements everything, as those that come with ego do.
type Backend interface {
	persistence.EventsStore
	persistence.SnapshotStore
	persistence.StateStore
	persistence.TimerStore
	offsetstore.OffsetStore
	offsetstore.DeadLetterStore
}

// Faults makes stores fail as a test says. It wraps any number of stores; a rule that is made with [Faults.On] takes hold
// of the calls of an operation on all of them. Without rules a wrapped store behaves as the store does.
//
// An operation is named as its method is: "WriteEvents", "GetLatestState", "Connect". ShardCount cannot fail. A sequence,
// such as that of ReplayEvents, is one call each time it is ranged over.
//
// Calls, rules and Clear may be used at the same time from any number of goroutines.
type Faults struct {
	mu    sync.Mutex
	rules []*Rule
	calls map[string]int
}

// NewFaults returns faults without rules.
func NewFaults() *Faults { return &Faults{calls: make(map[string]int)} }

// Events wraps an events store.
func (f *Faults) Events(store persistence.EventsStore) persistence.EventsStore {
	return &faultyEvents{faultyStore{f, store}, store}
}

// Snapshots wraps a snapshot store.
func (f *Faults) Snapshots(store persistence.SnapshotStore) persistence.SnapshotStore {
	return &faultySnapshots{faultyStore{f, store}, store}
}

// States wraps a state store.
func (f *Faults) States(store persistence.StateStore) persistence.StateStore {
	return &faultyStates{faultyStore{f, store}, store}
}

// Timers wraps a timer store.
func (f *Faults) Timers(store persistence.TimerStore) persistence.TimerStore {
	return &faultyTimers{faultyStore{f, store}, store}
}

// Offsets wraps an offset store.
func (f *Faults) Offsets(store offsetstore.OffsetStore) offsetstore.OffsetStore {
	return &faultyOffsets{faultyStore{f, store}, store}
}

// DeadLetters wraps a dead-letter store.
func (f *Faults) DeadLetters(store offsetstore.DeadLetterStore) offsetstore.DeadLetterStore {
	return &faultyLetters{f, store}
}

// Backend wraps a store that implements everything, and returns one that does so as well. Use it where the code under
// test asks its events store for the other interfaces.
func (f *Faults) Backend(store Backend) Backend {
	common := faultyStore{f, store}
	return &faultyBackend{
		faultyEvents:    faultyEvents{common, store},
		faultySnapshots: faultySnapshots{common, store},
		faultyStates:    faultyStates{common, store},
		faultyTimers:    faultyTimers{common, store},
		faultyOffsets:   faultyOffsets{common, store},
		faultyLetters:   faultyLetters{f, store},
		common:          common,
	}
}

// On returns a rule for an operation, or for all with [AnyOperation]. The rule counts calls from now on and does nothing
// to them until it is told what. It panics when there is no such operation, as a rule that never matches makes a test
// that cannot fail.
func (f *Faults) On(operation string) *Rule {
	checkOperation(operation)
	r := &Rule{
		faults:    f,
		operation: operation,
		first:     1,
		last:      maxCalls,
		entered:   make(chan struct{}, enteredBuffer),
		released:  make(chan struct{}),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
	return r
}

// Calls returns how many calls of an operation were made, failed ones included.
func (f *Faults) Calls(operation string) int {
	checkOperation(operation)
	f.mu.Lock()
	defer f.mu.Unlock()
	if operation != AnyOperation {
		return f.calls[operation]
	}
	total := 0
	for _, n := range f.calls {
		total += n
	}
	return total
}

// Clear removes all rules and lets go the calls that they hold. Counts of calls stay.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		r.release()
	}
	f.rules = nil
}

// checkOperation panics when there is no such operation.
func checkOperation(operation string) {
	if operation == AnyOperation || slices.Contains(faultyOperations(), operation) {
		return
	}
	panic(fmt.Sprintf("persistencetest: no operation is called %q", operation))
}

func faultyOperations() []string {
	return []string{
		"Connect", "Disconnect", "Ping",
		"WriteEvents", "ReplayEvents", "GetLatestEvent", "DeleteEvents", "PersistenceIDs", "GetShardEvents", "ShardPositions",
		"WriteSnapshot", "GetLatestSnapshot", "GetSnapshot", "DeleteSnapshots",
		"WriteState", "GetLatestState", "DeleteState", "GetShardStates", "ShardStatePositions",
		"ScheduleTimers", "CancelTimers", "ClaimTimers", "CompleteTimer", "OwnerTimers", "NextTimer",
		"AcquireLeases", "RenewLeases", "ReleaseLeases", "Leases",
		"CommitOffset", "Offsets", "ResetOffsets", "DeleteConsumer",
		"ParkEvents", "DeadLetters", "ParkedEntities", "DeleteDeadLetters",
	}
}

// take counts a call and returns the rules that it is subject to.
func (f *Faults) take(operation string) []*Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[operation]++
	var taken []*Rule
	for _, r := range f.rules {
		if r.takes(operation) {
			taken = append(taken, r)
		}
	}
	return taken
}

// do makes a call under the rules.
func (f *Faults) do(ctx context.Context, operation string, call func(taken []*Rule) error) error {
	taken := f.take(operation)
	for _, r := range taken {
		if err := r.before(ctx); err != nil {
			return err
		}
	}
	if err := call(taken); err != nil {
		return err
	}
	for _, r := range taken {
		if err := r.after(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *Faults) call(ctx context.Context, operation string, call func() error) error {
	return f.do(ctx, operation, func([]*Rule) error { return call() })
}

// callFor is call for operations with a result, which is dropped when the call fails.
func callFor[T any](ctx context.Context, f *Faults, operation string, call func() (T, error)) (T, error) {
	var result T
	err := f.do(ctx, operation, func([]*Rule) (err error) {
		result, err = call()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return result, nil
}

// errEnded stands for a loop that has ended, so that nothing may be yielded any more.
var errEnded = errors.New("persistencetest: loop has ended")

// sequence is call for operations that return a sequence.
func sequence[T any](ctx context.Context, f *Faults, operation string, source iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := f.do(ctx, operation, func(taken []*Rule) error {
			items := 0
			for item, err := range source {
				for _, r := range taken {
					if fault := r.item(items); fault != nil {
						return fault
					}
				}
				if !yield(item, err) || err != nil {
					return errEnded
				}
				items++
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnded) {
			var none T
			yield(none, err)
		}
	}
}
