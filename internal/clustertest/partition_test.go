package clustertest

import (
	"testing"

	"github.com/actorkeep/ego/internal/netns"
)

// newPartitionable starts a cluster whose nodes are hosts of a network; nil where there can be none.
func newPartitionable(t testing.TB, size int, change ...func(i int, spec *nodeSpec)) (*testCluster, []*netns.Host) {
	t.Helper()
	n := netns.New(t)
	if n == nil {
		return nil, nil
	}
	hosts, gossip := make([]*netns.Host, size), make([]string, size)
	for i := range size {
		hosts[i] = n.Plug()
		gossip[i] = hosts[i].Address + ":7001"
	}
	onHost := func(i int, spec *nodeSpec) {
		spec.Host, spec.Discovery, spec.Remoting, spec.Peers = hosts[i].Address, 7001, 7002, 7003
		spec.DiscoveryHosts = gossip
	}
	c := prepareCluster(t, size, append(change, onHost)...)
	for i, node := range c.nodes {
		node.wrap = hosts[i].Command()
		node.start()
	}
	c.awaitMembers(size, c.nodes...)
	return c, hosts
}
