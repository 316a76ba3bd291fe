package clustertest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCalls(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)

	t.Run("EveryNodeTakesEveryCall", func(t *testing.T) {
		t.Parallel()
		for i := range 24 {
			id := fmt.Sprint("everywhere-", i)
			c.nodes[i%3].must(call{Op: "entity", ID: id})
			for j, node := range c.nodes {
				a := node.must(call{Op: "deposit", ID: id, Amount: 5, Note: node.name})
				require.EqualValues(t, j+1, a.Revision)
			}
			for _, node := range c.nodes {
				a := node.must(call{Op: "state", ID: id})
				require.EqualValues(t, 15, a.Balance)
				require.EqualValues(t, 3, a.Revision)
				require.Equal(t, []string{"node-0", "node-1", "node-2"}, a.Notes)
			}
		}
	})
	t.Run("CommandIDsTravel", func(t *testing.T) { // G8
		t.Parallel()
		for i := range 8 {
			id := fmt.Sprint("once-", i)
			c.nodes[0].must(call{Op: "entity", ID: id})
			for _, node := range c.nodes {
				a := node.must(call{Op: "deposit", ID: id, Amount: 5, CommandID: "only"})
				require.EqualValues(t, 1, a.Revision)
				require.EqualValues(t, 5, a.Balance)
			}
		}
	})
	t.Run("ErrorsAreTheSameOnTheFarSide", func(t *testing.T) { // G11
		t.Parallel()
		for i := range 8 {
			id := fmt.Sprint("refused-", i)
			c.nodes[0].must(call{Op: "entity", ID: id})
			for _, node := range c.nodes {
				a, err := node.call(t.Context(), call{Op: "withdraw", ID: id, Amount: 5})
				require.NoError(t, err)
				require.Equal(t, "rejected", a.Code, a.Error)
				require.Contains(t, a.Error, "insufficient funds: balance is 0")
				a, err = node.call(t.Context(), call{Op: "misbehave", ID: id, Note: "panic"})
				require.NoError(t, err)
				require.Equal(t, "panic", a.Code, a.Error)
				a, err = node.call(t.Context(), call{Op: "deposit", ID: "unknown-" + id, Amount: 5})
				require.NoError(t, err)
				require.Equal(t, []string{"ErrEntityNotFound"}, a.Matches, a.Error)
			}
		}
	})
	t.Run("ErasedIsErasedEverywhere", func(t *testing.T) { // G10
		t.Parallel()
		for i := range 8 {
			id := fmt.Sprint("erased-", i)
			c.nodes[0].must(call{Op: "entity", ID: id})
			c.nodes[1].must(call{Op: "deposit", ID: id, Amount: 1})
			c.nodes[i%3].must(call{Op: "erase", ID: id})
			for _, node := range c.nodes {
				a, err := node.call(t.Context(), call{Op: "deposit", ID: id, Amount: 1})
				require.NoError(t, err)
				require.Equal(t, []string{"ErrErased"}, a.Matches, a.Error)
			}
		}
	})
	t.Run("Travels", func(t *testing.T) {
		t.Parallel()
		testWhatTravels(t, &testCluster{t: t, nodes: c.nodes})
	})
	t.Run("TopologyIsTheSameEverywhere", func(t *testing.T) {
		t.Parallel()
		first := c.nodes[0].must(call{Op: "topology"}).Topology
		require.Len(t, first.Shards, 16)
		for _, node := range c.nodes {
			topology := node.must(call{Op: "topology"}).Topology
			require.Equal(t, first.Shards, topology.Shards)
			require.Len(t, topology.Members, 3)
			for _, m := range topology.Members {
				require.Positive(t, m.Shards, "a member without shards")
			}
		}
	})
}
