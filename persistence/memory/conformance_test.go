package memory_test

import (
	"testing"

	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// stores returns the store for the conformance suite. What another process would open is the same value, as there is no
// other way to its data.
func stores(store *memory.Store) persistencetest.Stores {
	return persistencetest.Stores{
		Events: store, Snapshots: store, States: store, Timers: store, Offsets: store, DeadLetters: store, Keys: store,
		Reopen: func(testing.TB) persistencetest.Stores { return stores(store) },
	}
}

func TestConformance(t *testing.T) { // G2, G3, G5
	t.Parallel()
	persistencetest.Run(t, func(t testing.TB) persistencetest.Stores { return stores(open(t)) })
}

func TestConformanceOfOneShard(t *testing.T) { // G2, G3
	t.Parallel()
	persistencetest.Run(t, func(t testing.TB) persistencetest.Stores {
		return persistencetest.Stores{Events: open(t, memory.WithShards(1)), States: open(t, memory.WithShards(1))}
	})
}

// FuzzJournal compares the store with a model under the operations that a seed stands for.
func FuzzJournal(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(seed, uint8(4))
	}
	f.Fuzz(func(t *testing.T, seed uint64, shards uint8) {
		store := open(t, memory.WithShards(uint32(max(shards, 1))))
		persistencetest.CheckRandom(t, stores(store), seed, 200)
	})
}
