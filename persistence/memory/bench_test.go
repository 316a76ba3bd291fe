package memory_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// BenchmarkWriteEvents is the part of a command's way that is the store's.
func BenchmarkWriteEvents(b *testing.B) {
	for _, entities := range []int{1, 1_000} {
		b.Run(fmt.Sprintf("entities=%d", entities), func(b *testing.B) {
			store := memory.NewStore()
			require.NoError(b, store.Connect(b.Context()))
			events := make([]*egopb.Event, entities)
			for i := range events {
				events[i] = event(fmt.Sprintf("account-%d", i), 0, 64)
			}
			batch, ctx := make([]*egopb.Event, 1), b.Context()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				batch[0] = events[i%entities]
				batch[0].SequenceNumber++
				if err := store.WriteEvents(ctx, batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStore(b *testing.B) {
	persistencetest.RunBenchmarks(b, func(b testing.TB) persistencetest.Stores { return stores(open(b)) })
}
