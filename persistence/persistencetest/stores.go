package persistencetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

// Stores is what is put to the test: the interfaces that a store implements, which are usually one and the same value,
// and what else can be done with it. Every field may be nil.
type Stores struct {
	Events      persistence.EventsStore
	Snapshots   persistence.SnapshotStore
	States      persistence.StateStore
	Timers      persistence.TimerStore
	Offsets     offsetstore.OffsetStore
	DeadLetters offsetstore.DeadLetterStore // tested together with Offsets
	Keys        encryption.KeyStore

	// Reopen returns connected stores on the same data, as another process would open them; they register their own
	// cleanup. The first ones stay in use.
	Reopen func(t testing.TB) Stores

	// OpenWithShards connects to the same data with another shard count and returns the error of Connect.
	OpenWithShards func(t testing.TB, shards uint32) error

	// Kill ends the stores without Disconnect, as the death of their process would: connections are cut, nothing is
	// flushed. Calls that are under way fail. It is followed by Reopen.
	Kill func(t testing.TB)

	// PauseCommit holds the next write of events between the assignment of its positions and its commit. The channel is
	// closed when the write is held; resume lets it go, and may be called again.
	PauseCommit func(t testing.TB) (held <-chan struct{}, resume func())
}

// A need is a part of [Stores] that a case does not work without.
type need uint16

const (
	needEvents need = 1 << iota
	needSnapshots
	needStates
	needTimers
	needTimerBatches
	needOffsets
	needDeadLetters
	needReopen
	needOpenWithShards
	needPauseCommit
	needKeys
)

// provides returns what the stores can be asked.
func (s Stores) provides() need {
	var has need
	for _, part := range []struct {
		need  need
		given bool
	}{
		{needEvents, s.Events != nil},
		{needSnapshots, s.Snapshots != nil},
		{needStates, s.States != nil},
		{needTimers, s.Timers != nil},
		{needTimerBatches, isTimerBatchStore(s.Timers)},
		{needOffsets, s.Offsets != nil},
		{needDeadLetters, s.DeadLetters != nil},
		{needReopen, s.Reopen != nil},
		{needOpenWithShards, s.OpenWithShards != nil},
		{needPauseCommit, s.PauseCommit != nil},
		{needKeys, s.Keys != nil},
	} {
		if part.given {
			has |= part.need
		}
	}
	return has
}

// stores returns every store that can be connected.
func (s Stores) stores() []persistence.Store {
	var stores []persistence.Store
	if s.Events != nil {
		stores = append(stores, s.Events)
	}
	if s.Snapshots != nil {
		stores = append(stores, s.Snapshots)
	}
	if s.States != nil {
		stores = append(stores, s.States)
	}
	if s.Timers != nil {
		stores = append(stores, s.Timers)
	}
	if s.Offsets != nil {
		stores = append(stores, s.Offsets)
	}
	if keys, ok := s.Keys.(persistence.Store); ok {
		stores = append(stores, keys)
	}
	return stores
}

// A Case is one thing that every store must do.
type Case struct {
	Name string
	// Run checks stores that are connected, empty and used by nobody else. It fails t, also by FailNow, when they do not
	// do it.
	Run func(t testing.TB, s Stores)

	needs need
}

// Applies reports whether the stores have everything that the case needs.
func (c Case) Applies(s Stores) bool { return s.provides()&c.needs == c.needs }

// Cases returns all cases. Their names are unique.
func Cases() []Case {
	var cases []Case
	for _, group := range []func() []Case{
		lifecycleCases, reopenCases, contextCases,
		appendCases, conflictCases, readCases, idCases, recordCases, deleteCases, aliasCases, shardCases, randomCases,
		snapshotCases, stateCases, stateShardCases, timerCases, claimCases, leaseCases, offsetCases, deadLetterCases,
		keyCases, lifeCases,
	} {
		cases = append(cases, group()...)
	}
	return cases
}

// Run tests stores with all cases that apply to them. The function returns connected stores on an empty data set that no
// other call gets, and registers its cleanup with t.
func Run(t *testing.T, open func(t testing.TB) Stores) {
	t.Helper()
	provided, applied := open(t), 0
	for _, c := range Cases() {
		if !c.Applies(provided) {
			continue
		}
		applied++
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Run(t, open(t))
		})
	}
	require.NotZero(t, applied, "no case applies to these stores")
}

func isTimerBatchStore(store persistence.TimerStore) bool {
	_, ok := store.(persistence.TimerBatchStore)
	return ok
}
