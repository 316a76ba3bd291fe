package clustertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// network is a bridge in a network namespace of its own, to which the namespaces of nodes are plugged. Two of them are
// there, so that nodes can be cut off together.
type network struct {
	t    testing.TB
	name string
	used int
}

// subnets counts the networks of this process.
var subnets atomic.Int64

// newNetwork returns a network without nodes, which is removed with the test. It is nil where namespaces cannot be made,
// which is a failure when EGO_REQUIRE_SERVICES is 1.
func newNetwork(t testing.TB) *network {
	t.Helper()
	n := &network{t: t, name: fmt.Sprintf("ego%d-%d", os.Getpid(), subnets.Add(1))}
	if out, err := n.try("netns", "add", n.name); err != nil {
		require.NotEqual(t, "1", os.Getenv("EGO_REQUIRE_SERVICES"), "no network namespaces: %v %s", err, out)
		t.Logf("network namespaces cannot be made here, so nothing is tested: %v %s", err, out)
		return nil
	}
	t.Cleanup(func() { n.ip("netns", "del", n.name) })
	for _, bridge := range []string{"main", "apart"} {
		n.ip("-n", n.name, "link", "add", bridge, "type", "bridge", "forward_delay", "0")
		n.ip("-n", n.name, "link", "set", bridge, "up")
	}
	return n
}

// plug makes a namespace for a node and returns its name and its address.
func (n *network) plug() (namespace, address string) {
	n.t.Helper()
	n.used++
	namespace = fmt.Sprintf("%s-%d", n.name, n.used)
	address = fmt.Sprintf("10.77.0.%d", n.used)
	n.ip("netns", "add", namespace)
	n.t.Cleanup(func() { n.ip("netns", "del", namespace) })
	n.ip("-n", n.name, "link", "add", n.port(n.used), "type", "veth", "peer", "name", "eth0", "netns", namespace)
	n.ip("-n", n.name, "link", "set", n.port(n.used), "master", "main", "up")
	n.ip("-n", namespace, "addr", "add", address+"/24", "dev", "eth0")
	n.ip("-n", namespace, "link", "set", "eth0", "up")
	n.ip("-n", namespace, "link", "set", "lo", "up")
	return namespace, address
}

func (n *network) port(node int) string { return fmt.Sprint("port", node) }

// move plugs a node, counted from one, to a bridge.
func (n *network) move(node int, bridge string) {
	n.t.Helper()
	n.ip("-n", n.name, "link", "set", n.port(node), "master", bridge)
}

func (n *network) ip(args ...string) {
	n.t.Helper()
	out, err := n.try(args...)
	require.NoError(n.t, err, "ip %s: %s", strings.Join(args, " "), out)
}

func (n *network) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	return string(out), err
}

// newPartitionable starts a cluster whose nodes are in namespaces of their own; nil where those cannot be made.
func newPartitionable(t testing.TB, size int) (*testCluster, *network) {
	t.Helper()
	n := newNetwork(t)
	if n == nil {
		return nil, nil
	}
	namespaces, hosts := make([]string, size), make([]string, size)
	for i := range size {
		namespaces[i], hosts[i] = n.plug()
	}
	c := prepareCluster(t, size, func(i int, spec *nodeSpec) {
		spec.Host, spec.Discovery, spec.Remoting, spec.Peers = hosts[i], 7001, 7002, 7003
		spec.DiscoveryHosts = nil
		for _, host := range hosts {
			spec.DiscoveryHosts = append(spec.DiscoveryHosts, host+":7001")
		}
	})
	for i, node := range c.nodes {
		node.wrap = []string{"ip", "netns", "exec", namespaces[i]}
		node.start()
	}
	c.awaitMembers(size, c.nodes...)
	return c, n
}
