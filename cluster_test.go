package ego_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tochemey/goakt/v3/discovery/static"

	"github.com/actorkeep/ego"
)

func TestWithCluster(t *testing.T) {
	t.Parallel()

	t.Run("StartJoinsAllProblems", func(t *testing.T) {
		t.Parallel()
		engine := ego.NewEngine("test", newStore(t), ego.WithCluster(ego.ClusterConfig{
			RemotingPort: 70_000, DiscoveryPort: 4, PeersPort: 4, MinimumPeersQuorum: -1, FenceAfter: -1,
			Roles: []string{"", "ego.v1/x", strings.Repeat("r", 300)}, TLS: new(tls.Config),
		}))

		err := engine.Start(t.Context())

		for _, problem := range []string{
			"no discovery provider", "host is empty", "remoting port 70000 is not between", "peers port 4 is the discovery port",
			"quorum -1 is negative", "-1ns, is negative", `role ""`, `role "ego.v1/x"`, "more than 256", "TLS has no certificate", "TLS names no authorities",
			"no kinds are registered",
		} {
			require.ErrorContains(t, err, problem)
		}
		require.False(t, engine.Started())
	})
	t.Run("PortsMustBeSet", func(t *testing.T) {
		t.Parallel()
		engine := ego.NewEngine("test", newStore(t), ego.WithKinds(accountKind()), ego.WithCluster(ego.ClusterConfig{
			Discovery: static.NewDiscovery(&static.Config{Hosts: []string{"127.0.0.1:7000"}}), Host: "127.0.0.1",
		}))
		err := engine.Start(t.Context())
		for _, name := range []string{"remoting", "discovery", "peers"} {
			require.ErrorContains(t, err, "the "+name+" port 0 is not between 1 and 65535")
		}
	})
	t.Run("EngineWithoutClusterIsItsOnlyMember", func(t *testing.T) {
		t.Parallel()
		engine := startEngine(t, newStore(t))
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		topology, err := engine.Topology(t.Context())
		require.NoError(t, err)
		require.True(t, topology.Serving)
		require.Len(t, topology.Shards, 16)
		require.Len(t, topology.Members, 1)
		require.EqualValues(t, 1, topology.Members[0].Entities)
		require.Equal(t, 16, topology.Members[0].Shards)
		require.WithinDuration(t, time.Now(), topology.Members[0].Heard, patience)
	})
}
