package persistence_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/persistence"
)

func TestShardOf(t *testing.T) {
	t.Parallel()

	t.Run("Spreads", func(t *testing.T) {
		t.Parallel()
		counts := make([]int, 16)
		for i := range 16_000 {
			counts[persistence.ShardOf("account-"+strconv.Itoa(i), 16)]++
		}
		for shard, n := range counts {
			require.InDelta(t, 1000, n, 200, "shard %d", shard)
		}
	})
	t.Run("OfOneOrNoShardIsZero", func(t *testing.T) {
		t.Parallel()
		require.Zero(t, persistence.ShardOf("a", 0))
		require.Zero(t, persistence.ShardOf("a", 1))
	})
}
