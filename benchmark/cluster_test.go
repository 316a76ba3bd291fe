package benchmark

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/benchmark/internal/workload"
)

// BenchmarkRemoteCommand compares GoAkt's RemoteBatchAsk of an actor that answers at once (bare) with a command to an entity
// of another node on the memory store (ego), both over loopback in this process.
func BenchmarkRemoteCommand(b *testing.B) {
	for _, senders := range []int{1, 64} {
		b.Run(fmt.Sprintf("path=bare/senders=1/batch=%d", senders), func(b *testing.B) {
			asks, err := workload.StartRemoteAsks(senders)
			require.NoError(b, err)
			run(b, asks, 1)
		})
		b.Run(fmt.Sprintf("path=ego/entities=1000/senders=%d", senders), func(b *testing.B) {
			commands, err := workload.StartRemoteCommands(1000)
			require.NoError(b, err)
			run(b, commands, senders)
		})
	}
}
