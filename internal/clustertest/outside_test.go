package clustertest

import (
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/chaos/wallclock"
	"github.com/actorkeep/ego/internal/pgtest"
)

var outageTime = flag.Duration("outage.time", 3*time.Second, "how long the database of TestDatabaseOutage is away")

// TestClockSkew has the clocks of two nodes five minutes ahead and behind: one from its start, one by a step under load.
func TestClockSkew(t *testing.T) { // G1, G2, G8
	if !wallclock.Step(0) {
		t.Log("the clock of a process cannot be stepped here, so nothing is tested")
		return
	}
	const skew = 5 * time.Minute
	c := newCluster(t, 3, func(i int, spec *nodeSpec) {
		if i == 1 {
			spec.Clock = skew
		}
	})
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	c.nodes[0].must(call{Op: "clock", By: -skew})
	for i, off := range []time.Duration{-skew, skew, 0} {
		now := c.nodes[i].must(call{Op: "clock"}).Clock
		require.InDelta(t, off, now.Sub(time.Now().Round(0)), float64(30*time.Second), c.nodes[i].name)
	}
	l.awaitAll("a step of a clock")
	for i := range 2 { // each time the entities of a skewed node move to the others and back
		c.nodes[i].kill()
		require.Less(t, l.awaitAll("kill -9"), 9*time.Second)
		c.nodes[i].start()
		c.awaitMembers(3, c.nodes...)
		l.awaitAll("the return")
	}
	l.check()
}

// TestDatabaseOutage stops the server of the store under load. Commands are refused in time meanwhile, the cluster stays
// together, and goes on without help.
func TestDatabaseOutage(t *testing.T) { // G1, G2, G8, G9, G12
	server := pgtest.Start(t, pgtest.Config{})
	c := newCluster(t, 3, func(_ int, spec *nodeSpec) { spec.URL, spec.Schema = server.URL(), "ego" })
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	server.Stop()
	stopped := time.Now()
	for _, node := range c.nodes {
		a, err := node.call(t.Context(), call{Op: "deposit", ID: l.entities[0], Amount: 1, Note: "meanwhile", CommandID: "meanwhile", Timeout: time.Second})
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(a.Matches, func(name string) bool {
			return name == "ErrWriteFailed" || name == "ErrOutcomeUnknown" || name == "ErrRecovery" || name == "ErrTimeout"
		}), "%v: %s", a.Matches, a.Error)
	}
	<-time.After(*outageTime - time.Since(stopped))
	for _, node := range c.nodes {
		topology := node.must(call{Op: "topology"}).Topology
		require.True(t, topology.Serving, node.name)
		require.Len(t, topology.Members, 3, node.name)
	}
	require.NoError(t, server.Launch())
	l.awaitAll("the database came back")
	l.check()
}

// TestFiveNodes loses two of five nodes: to a partition, and to kill -9 at the same moment.
func TestFiveNodes(t *testing.T) { // G1, G2, G8
	c, network := newPartitionable(t, 5)
	if c == nil {
		c = newCluster(t, 5)
	}
	l := c.startLoad(6, 40)
	l.awaitAll("the start")
	if network != nil {
		for i := 3; i < 5; i++ {
			network.move(i+1, "apart")
			c.nodes[i].out.Store(true)
		}
		l.awaitAll("a partition of 3 and 2")
		for _, node := range c.nodes[3:] {
			await(t, "the minority stops", func() bool {
				a, err := node.call(t.Context(), call{Op: "health"})
				return err == nil && slices.Contains(a.Matches, "ErrNoQuorum")
			})
		}
		network.move(4, "main")
		network.move(5, "main")
		c.awaitMembers(5, c.nodes...)
		c.nodes[3].out.Store(false)
		c.nodes[4].out.Store(false)
		l.awaitAll("the partition ended")
	}
	c.nodes[0].kill()
	c.nodes[1].kill()
	require.Less(t, l.awaitAll("kill -9 of two of five"), 9*time.Second)
	c.nodes[0].start()
	c.nodes[1].start()
	c.awaitMembers(5, c.nodes...)
	l.awaitAll("the return")
	l.nodes = c.nodes
	l.check()
}
