package benchmark

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	goakt "github.com/tochemey/goakt/v3/actor"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/benchmark/internal/workload"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
)

// BenchmarkHotEntity is one entity under 64 senders, with and without batching of its commands.
func BenchmarkHotEntity(b *testing.B) {
	for _, store := range []struct {
		name string
		open func(b *testing.B) persistence.EventsStore
	}{
		{"sqlite", func(b *testing.B) persistence.EventsStore {
			store, err := workload.OpenSQLite(b.TempDir())
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
			return store
		}},
		{"postgres", func(b *testing.B) persistence.EventsStore {
			store, _, _ := openPostgres(b)
			return store
		}},
	} {
		for _, batching := range []struct {
			name string
			opts []ego.SpawnOption
		}{
			{"none", nil},
			{"threshold", []ego.SpawnOption{ego.WithBatchThreshold(64)}},
			{"window", []ego.SpawnOption{ego.WithBatchThreshold(64), ego.WithBatchFlushWindow(2 * time.Millisecond)}},
		} {
			b.Run(fmt.Sprintf("store=%s/batching=%s", store.name, batching.name), func(b *testing.B) {
				commands, err := workload.StartCommands(store.open(b), 1, nil, batching.opts...)
				require.NoError(b, err)
				run(b, commands, 64)
			})
		}
	}
}

// BenchmarkSpawn compares spawning a bare actor with making a new entity live.
func BenchmarkSpawn(b *testing.B) {
	start := func(b *testing.B) *ego.Engine {
		engine := ego.NewEngine("benchmark", memory.NewStore())
		require.NoError(b, engine.Start(context.Background()))
		b.Cleanup(func() { require.NoError(b, engine.Stop(context.Background())) })
		b.ReportAllocs()
		return engine
	}
	b.Run("path=bare", func(b *testing.B) {
		system := start(b).ActorSystem()
		for i := 0; b.Loop(); i++ {
			if _, err := system.Spawn(context.Background(), fmt.Sprint("actor-", i), new(workload.BareActor), goakt.WithLongLived()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("path=ego", func(b *testing.B) {
		engine := start(b)
		for i := 0; b.Loop(); i++ {
			if err := engine.Entity(context.Background(), testaccount.New(fmt.Sprint("entity-", i))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
