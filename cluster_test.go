package ego_test

import (
	"crypto/tls"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tochemey/goakt/v3/discovery/static"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

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
	t.Run("MetricsTellOfTheNode", func(t *testing.T) { // G12
		t.Parallel()
		for quorum, want := range map[int]map[string]int64{1: {"serving": 1, "": 16}, 2: {"joining": 1, "": 0}} {
			reader, ports := sdkmetric.NewManualReader(), freePorts(t.Context(), 3)
			startEngine(t, newStore(t), ego.WithTelemetry(&ego.Telemetry{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))}),
				ego.WithCluster(ego.ClusterConfig{
					Discovery: static.NewDiscovery(&static.Config{Hosts: []string{fmt.Sprint("127.0.0.1:", ports[0])}}), Host: "127.0.0.1",
					DiscoveryPort: ports[0], RemotingPort: ports[1], PeersPort: ports[2], MinimumPeersQuorum: quorum,
				}))
			require.Eventually(t, func() bool { return maps.Equal(want, clusterGauges(t, reader)) }, patience, 10*time.Millisecond)
		}
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

// clusterGauges returns the members that a node sees, by its state, and under no name the shards that it owns.
func clusterGauges(t *testing.T, reader *sdkmetric.ManualReader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	found := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if gauge, ok := m.Data.(metricdata.Gauge[int64]); ok && strings.HasPrefix(m.Name, "ego.cluster.") {
				state, _ := gauge.DataPoints[0].Attributes.Value("ego.state")
				found[state.AsString()] = gauge.DataPoints[0].Value
			}
		}
	}
	return found
}
