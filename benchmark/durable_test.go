package benchmark

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/sqlite"
)

func openSQLite(b *testing.B) *sqlite.Store {
	b.Helper()
	store, err := sqlite.Open(filepath.Join(b.TempDir(), "benchmark.db"))
	require.NoError(b, err)
	require.NoError(b, store.Connect(context.Background()))
	b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
	return store
}

// BenchmarkDurable compares appends to the SQLite store in batches of the size that the senders allow (bare) with durable
// commands (ego), over 1,000 entities. Both figures are per event.
func BenchmarkDurable(b *testing.B) {
	for _, senders := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("path=bare/senders=%d", senders), func(b *testing.B) { benchmarkAppends(b, senders) })
		b.Run(fmt.Sprintf("path=ego/senders=%d", senders), func(b *testing.B) {
			benchmarkCommands(b, openSQLite(b), 1000, senders)
		})
	}
}

func benchmarkAppends(b *testing.B, size int) {
	store := openSQLite(b)
	payload, err := anypb.New(&testpb.Deposited{Amount: 1})
	require.NoError(b, err)
	accounts := ids(1000)
	next := make([]uint64, len(accounts))
	batch := make([]*egopb.Event, 0, size)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		account := i % len(accounts)
		next[account]++
		batch = append(batch, &egopb.Event{PersistenceId: accounts[account], SequenceNumber: next[account], Kind: "account", Payload: payload})
		if len(batch) == size {
			if err := store.WriteEvents(context.Background(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}
