package benchmark

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/benchmark/internal/workload"
)

// BenchmarkDurable compares batches of the size that the senders allow, written by the SQLite driver alone (bare), with
// durable commands (ego), over 1,000 entities. Both figures are per event. cmd/ratios uses the sizes of the batches that
// the engine wrote instead.
func BenchmarkDurable(b *testing.B) {
	for _, senders := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("path=bare/senders=%d", senders), func(b *testing.B) {
			batches, err := workload.OpenBatches(b.TempDir(), 1000, senders)
			require.NoError(b, err)
			run(b, batches, 1)
		})
		b.Run(fmt.Sprintf("path=ego/senders=%d", senders), func(b *testing.B) {
			store, err := workload.OpenSQLite(b.TempDir())
			require.NoError(b, err)
			commands, err := workload.StartCommands(store, 1000, func() error { return store.Disconnect(context.Background()) })
			require.NoError(b, err)
			run(b, commands, senders)
		})
	}
}

// BenchmarkReplay compares a query that scans and unmarshals (bare) with the replay of the store (ego). Both figures are
// per event.
func BenchmarkReplay(b *testing.B) {
	journal, err := workload.OpenJournal(b.TempDir(), 10, 1000)
	require.NoError(b, err)
	b.Run("path=bare", func(b *testing.B) { run(b, workload.BareScan{Journal: journal}, 1) })
	b.Run("path=ego", func(b *testing.B) { run(b, workload.Replay{Journal: journal}, 1) })
	require.NoError(b, journal.Close())
}
