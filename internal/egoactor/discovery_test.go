package egoactor_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/egoactor"
)

// reluctant is a discovery whose registry is away at first.
type reluctant struct {
	failures int
	peers    []string
}

func (r *reluctant) ID() string { return "reluctant" }

func (r *reluctant) Initialize() error {
	if r.failures--; r.failures >= 0 {
		return errors.New("the registry is busy")
	}
	return nil
}

func (r *reluctant) Register() error                  { return nil }
func (r *reluctant) Deregister() error                { return nil }
func (r *reluctant) DiscoverPeers() ([]string, error) { return r.peers, nil }
func (r *reluctant) Close() error                     { return nil }

// A node whose registry is away joins when it is back.
func TestRegistryIsAway(t *testing.T) { // G12
	ports := freePorts(t, 3)
	registry := &reluctant{failures: 2, peers: []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1]))}}
	runtime := egoactor.NewClusterRuntime(egoactor.ClusterConfig{
		Name: "reluctant", Discovery: registry, Host: "127.0.0.1", Logger: slog.New(slog.DiscardHandler),
		RemotingPort: ports[0], DiscoveryPort: ports[1], PeersPort: ports[2],
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	session, err := runtime.Join(ctx, "epoch", func(*egopb.ClusterBatch) {})
	require.NoError(t, err)
	require.Negative(t, registry.failures, "it has failed before")
	leaving, cancelLeave := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancelLeave()
	require.NoError(t, session.Leave(leaving))
}

// freePorts returns ports that nobody listens on.
func freePorts(t *testing.T, count int) []int {
	t.Helper()
	ports := make([]int, count)
	for i := range ports {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer listener.Close()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports
}
