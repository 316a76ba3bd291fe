package clustertest

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Nothing is lost, doubled or out of order whatever happens to a node, and every entity answers again.

func TestGracefulStop(t *testing.T) { // G1, G2, G8
	t.Parallel()
	c := newCluster(t, 3)
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	c.nodes[2].stop()
	require.Less(t, l.awaitAll("a graceful stop"), 9*time.Second)
	c.awaitMembers(2, c.nodes[:2]...)
	c.nodes[2].start()
	c.awaitMembers(3, c.nodes...)
	l.awaitAll("the return")
	l.check()
}

func TestKill(t *testing.T) { // G1, G2, G8
	t.Parallel()
	c := newCluster(t, 3)
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	for _, i := range []int{2, 1} {
		c.nodes[i].kill()
		require.Less(t, l.awaitAll("kill -9"), 9*time.Second)
		c.nodes[i].start()
		c.awaitMembers(3, c.nodes...)
		l.awaitAll("the return")
	}
	l.check()
}

func TestSuspend(t *testing.T) { // G1, G2, G8
	t.Parallel()
	c := newCluster(t, 3)
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	c.nodes[2].signal(syscall.SIGSTOP)
	l.awaitAll("SIGSTOP")
	c.awaitMembers(2, c.nodes[:2]...)
	c.nodes[2].signal(syscall.SIGCONT)
	c.awaitMembers(3, c.nodes...)
	l.awaitAll("SIGCONT")
	l.check()
}

func TestRollingRestart(t *testing.T) { // G1, G2, G8
	t.Parallel()
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
