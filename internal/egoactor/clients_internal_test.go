package egoactor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/cluster"
)

func TestClients(t *testing.T) {
	t.Parallel()
	first, second := cluster.ID{Host: "127.0.0.1", Port: 1, Epoch: "a"}, cluster.ID{Host: "127.0.0.1", Port: 1, Epoch: "b"}
	c := newClients(nil)
	client, err := c.get(first)
	require.NoError(t, err)
	again, err := c.get(first)
	require.NoError(t, err)
	require.Same(t, client, again)
	other, err := c.get(second)
	require.NoError(t, err)
	require.NotSame(t, client, other, "a run has no connections of the run before it")

	c.drop(first, client)
	fresh, err := c.get(first)
	require.NoError(t, err)
	require.NotSame(t, client, fresh)
	c.drop(first, client)
	again, err = c.get(first)
	require.NoError(t, err)
	require.Same(t, fresh, again, "a late failure of the one before does not count")

	c.forget(first)
	c.forget(first)
	require.NotContains(t, c.of, first)
	c.close()
	_, err = c.get(second)
	require.ErrorIs(t, err, cluster.ErrNotDelivered)
	c.forget(second)
}
