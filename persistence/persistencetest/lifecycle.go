package persistencetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/persistence"
)

func lifecycleCases() []Case {
	return []Case{
		{"Lifecycle/ConnectIsIdempotent", connectIsIdempotent, 0},
		{"Lifecycle/DisconnectIsIdempotent", disconnectIsIdempotent, 0},
		{"Lifecycle/ConnectAgainKeepsData", connectAgainKeepsData, 0},
		{"Lifecycle/NotConnected", notConnected, 0},
	}
}

func connectIsIdempotent(t testing.TB, s Stores) {
	prepare(t, s)
	before := content(t, s)
	for range 3 {
		for _, store := range s.stores() {
			require.NoError(t, store.Connect(t.Context()))
			require.NoError(t, store.Ping(t.Context()))
		}
	}
	require.Equal(t, before, content(t, s))
}

func disconnectIsIdempotent(t testing.TB, s Stores) {
	for range 3 {
		for _, store := range s.stores() {
			require.NoError(t, store.Disconnect(t.Context()))
		}
	}
}

func connectAgainKeepsData(t testing.TB, s Stores) {
	prepare(t, s)
	before := content(t, s)
	for range 2 {
		for _, store := range s.stores() {
			require.NoError(t, store.Disconnect(t.Context()))
		}
		for _, store := range s.stores() {
			require.NoError(t, store.Connect(t.Context()))
		}
		require.Equal(t, before, content(t, s))
	}
}

func notConnected(t testing.TB, s Stores) {
	lease := prepare(t, s)
	before := content(t, s)
	for _, store := range s.stores() {
		require.NoError(t, store.Disconnect(t.Context()))
	}
	for _, op := range operations(s, lease) {
		require.ErrorIs(t, op.call(t.Context()), persistence.ErrNotConnected, op.name)
	}
	if s.Events != nil {
		require.NotZero(t, s.Events.ShardCount(), "the shard count needs no connection")
	}
	for _, store := range s.stores() {
		require.NoError(t, store.Connect(t.Context()))
	}
	require.Equal(t, before, content(t, s), "a refused call changed something")
}
