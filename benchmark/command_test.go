package benchmark

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/benchmark/internal/workload"
	"github.com/actorkeep/ego/persistence/memory"
)

// BenchmarkCommand compares a GoAkt Tell with a reply (bare) with a command on the memory store (ego).
func BenchmarkCommand(b *testing.B) {
	for _, entities := range []int{1, 1000} {
		for _, senders := range []int{1, 64} {
			name := fmt.Sprintf("entities=%d/senders=%d", entities, senders)
			b.Run("path=bare/"+name, func(b *testing.B) {
				actors, err := workload.StartActors(entities)
				require.NoError(b, err)
				run(b, actors, senders)
			})
			b.Run("path=ego/"+name, func(b *testing.B) {
				commands, err := workload.StartCommands(memory.NewStore(), entities, nil)
				require.NoError(b, err)
				run(b, commands, senders)
			})
		}
	}
}

// run lets senders do b.N units together and closes the side.
func run(b *testing.B, side workload.Side, senders int) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	_, err := workload.Drive(side, senders, b.N)
	b.StopTimer()
	require.NoError(b, err)
	require.NoError(b, side.Close())
}

// operations are a side that has nothing to close. Each operation is one unit.
type operations func(sender int) func() error

// Sender implements [workload.Side].
func (o operations) Sender(i int) func() (int, error) {
	op := o(i)
	return func() (int, error) { return 1, op() }
}

// Close implements [workload.Side].
func (o operations) Close() error { return nil }
