package clustertest

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/mongotest"
)

// Nothing is lost, doubled or out of order whatever happens to a node, and every entity answers again.

// The tests of faults run one after the other: each has a cluster of processes of its own, and three on two processors are enough.

func TestGracefulStop(t *testing.T) { // G1, G2, G8
	c := newCluster(t, 3)
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	c.nodes[2].stop()
	l.awaitAll("a graceful stop")
	c.awaitMembers(2, c.nodes[:2]...)
	c.nodes[2].start()
	c.awaitMembers(3, c.nodes...)
	l.awaitAll("the return")
	l.check()
}

func TestKill(t *testing.T) { // G1, G2, G8
	c := newCluster(t, 3)
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	for _, i := range []int{2, 1} {
		c.nodes[i].kill()
		l.awaitAll("kill -9")
		c.nodes[i].start()
		c.awaitMembers(3, c.nodes...)
		l.awaitAll("the return")
	}
	l.check()
}

// Nodes die and hang on MongoDB as well, whose store keeps positions and numbers in ways of its own.
func TestOnMongoDB(t *testing.T) { // G1, G2, G8
	url, database := mongotest.URL(t), mongotest.Database(t)
	c := newCluster(t, 3, func(_ int, spec *nodeSpec) { spec.Mongo, spec.Schema = url, database })
	l := c.startLoad(6, 12)
	l.awaitAll("the start")
	c.nodes[2].kill()
	l.awaitAll("kill -9")
	c.nodes[2].start()
	c.awaitMembers(3, c.nodes...)
	l.awaitAll("the return")
	c.suspendLast(l)
	l.check()
}

// A node that is stopped while another is dead and not yet missed leaves without complaint.
func TestStopBesideAKill(t *testing.T) { // G1, G2, G8
	c := newCluster(t, 3)
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	for _, i := range []int{2, 1} {
		c.nodes[i].out.Store(true)
		c.nodes[0].out.Store(true)
		c.nodes[i].kill()
		c.nodes[0].stop()
		c.nodes[i].start()
		c.nodes[0].start()
		c.awaitMembers(3, c.nodes...)
		c.nodes[i].out.Store(false)
		c.nodes[0].out.Store(false)
		l.awaitAll("the return")
	}
	l.check()
}

func TestSuspend(t *testing.T) { // G1, G2, G8
	c := newCluster(t, 3)
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	c.suspendLast(l)
	l.check()
}

// suspendLast has the last of three nodes hang until the others do without it, and come back.
func (c *testCluster) suspendLast(l *load) {
	c.t.Helper()
	c.nodes[2].signal(syscall.SIGSTOP)
	c.nodes[2].out.Store(true)
	l.awaitAll("SIGSTOP")
	c.awaitMembers(2, c.nodes[:2]...)
	c.nodes[2].signal(syscall.SIGCONT)
	c.nodes[2].out.Store(false)
	c.awaitMembers(3, c.nodes...)
	l.awaitAll("SIGCONT")
}

func TestRollingRestart(t *testing.T) { // G1, G2, G8
	c := newCluster(t, 3)
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	for _, node := range c.nodes {
		node.stop()
		node.start()
		c.awaitMembers(3, c.nodes...)
	}
	l.awaitAll("a restart of every node")
	l.check()
}

// The minority stops by itself and comes back by itself.
func TestPartitionOfOne(t *testing.T) { // G1, G2, G8
	c, hosts := newPartitionable(t, 3)
	if c == nil {
		return
	}
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	hosts[2].CutOff()
	c.nodes[2].out.Store(true)
	l.awaitAll("a partition")
	c.awaitMembers(2, c.nodes[:2]...)
	await(t, "the minority stops", func() bool {
		a, err := c.nodes[2].call(t.Context(), call{Op: "health"})
		return err == nil && slices.Contains(a.Matches, "ErrNoQuorum")
	})
	a, err := c.nodes[2].call(t.Context(), call{Op: "state", ID: l.entities[0], Timeout: 100 * time.Millisecond})
	require.NoError(t, err)
	require.Subset(t, a.Matches, []string{"ErrTimeout", "ErrNoQuorum"}, a.Error)
	require.NotContains(t, a.Matches, "ErrOutcomeUnknown")
	hosts[2].Heal()
	healed := time.Now()
	c.awaitMembers(3, c.nodes...)
	t.Logf("one cluster again %v after the partition ended", time.Since(healed).Round(time.Millisecond))
	c.nodes[2].out.Store(false)
	l.awaitAll("the partition ended")
	l.check()
}
