package persistencetest_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// A broken store does one thing wrong.
type broken struct {
	name  string
	fails []string // the cases that find it out
	open  func(m *memory.Store) persistencetest.Stores
}

// allBroken returns all broken stores.
func allBroken() []broken {
	return slices.Concat(
		brokenLifecycles(), brokenContexts(), brokenReopening(),
		brokenWrites(), brokenConflicts(), brokenReplays(), brokenShardReads(), brokenIDs(), brokenRecords(), brokenDeletes(),
		brokenAliasing(), brokenPositions(),
		brokenSnapshots(), brokenStates(), brokenStateReads(), brokenTimers(), brokenClaims(),
		brokenLeases(), brokenOffsets(), brokenLetters(), brokenKeys(), brokenLives(),
	)
}

// sound returns stores that do everything right, with all hooks.
func sound(m *memory.Store) persistencetest.Stores {
	g := &gate{EventsStore: m, turn: make(chan struct{}, 1)}
	return persistencetest.Stores{
		Events: g, Snapshots: m, States: m, Timers: m, Offsets: m, DeadLetters: m, Keys: m,
		Reopen: func(testing.TB) persistencetest.Stores { return sound(m) },
		OpenWithShards: func(_ testing.TB, shards uint32) error {
			if shards != m.ShardCount() {
				return &persistence.ShardCountError{Stored: m.ShardCount(), Configured: shards}
			}
			return nil
		},
		PauseCommit: g.pause,
	}
}

// TestCasesPassASoundStore is the other side of TestCasesFailBrokenStores: the recorder does not fail everything.
func TestCasesPassASoundStore(t *testing.T) {
	t.Parallel()
	for _, c := range persistencetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			open := func(testing.TB) persistencetest.Stores { return sound(memory.NewStore()) }
			require.True(t, c.Applies(open(t)))
			require.Empty(t, try(t, c, open))
		})
	}
}

func TestCasesFailBrokenStores(t *testing.T) {
	t.Parallel()
	cases := make(map[string]persistencetest.Case)
	for _, c := range persistencetest.Cases() {
		require.NotContains(t, cases, c.Name, "names must be unique")
		cases[c.Name] = c
	}
	for _, b := range allBroken() {
		for _, name := range b.fails {
			t.Run(b.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				require.Contains(t, cases, name)
				failure := try(t, cases[name], func(testing.TB) persistencetest.Stores { return b.open(memory.NewStore()) })
				require.NotEmpty(t, failure, "the case does not see what is broken")
				t.Log(failure)
			})
		}
	}
}

// TestEveryCaseCanFail checks that there is a broken store for every case.
func TestEveryCaseCanFail(t *testing.T) {
	t.Parallel()
	covered := make(map[string]bool)
	names := make(map[string]bool)
	for _, b := range allBroken() {
		require.False(t, names[b.name], "two broken stores are called %s", b.name)
		names[b.name] = true
		require.NotEmpty(t, b.fails, b.name)
		for _, name := range b.fails {
			covered[name] = true
		}
	}
	for _, c := range persistencetest.Cases() {
		require.True(t, covered[c.Name], "no broken store fails %s", c.Name)
	}
}

func TestAppliesAsksForWhatACaseNeeds(t *testing.T) {
	t.Parallel()
	m := memory.NewStore()
	for name, c := range map[string]struct {
		stores  persistencetest.Stores
		without string
		with    string
	}{
		"Nothing":    {stores: persistencetest.Stores{}, without: "Events/Append", with: "Lifecycle/NotConnected"},
		"EventsOnly": {stores: persistencetest.Stores{Events: m}, without: "States/Write", with: "Events/Append"},
		"NoReopen":   {stores: persistencetest.Stores{Events: m}, without: "Reopen/SeesEverything", with: "Events/Append"},
		"NoLetters":  {stores: persistencetest.Stores{Offsets: m}, without: "DeadLetters/Park", with: "Leases/Acquire"},
		"NoOffsets":  {stores: persistencetest.Stores{DeadLetters: m}, without: "DeadLetters/Park", with: "Lifecycle/NotConnected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			applies := make(map[string]bool)
			for _, each := range persistencetest.Cases() {
				applies[each.Name] = each.Applies(c.stores)
			}
			require.False(t, applies[c.without])
			require.True(t, applies[c.with])
		})
	}
}
