package clustertest

import (
	"flag"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/chaos/wallclock"
	"github.com/actorkeep/ego/internal/netns"
	"github.com/actorkeep/ego/internal/pgtest"
)

var long = flag.Bool("faults.long", false, "keeps the database away for 30 seconds, and tests clusters of five nodes")

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
	c.nodes[1].kill() // its entities move to a node whose clock is ten minutes behind, and back
	l.awaitAll("kill -9")
	c.nodes[1].start()
	c.awaitMembers(3, c.nodes...)
	l.awaitAll("the return")
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
	outage := 3 * time.Second
	if *long {
		outage = 30 * time.Second
	}
	<-time.After(outage - time.Since(stopped))
	for _, node := range c.nodes {
		topology := node.must(call{Op: "topology"}).Topology
		require.True(t, topology.Serving, node.name)
		require.Len(t, topology.Members, 3, node.name)
	}
	require.NoError(t, server.Launch())
	l.awaitAll("the database came back")
	l.check()
}

// TestFiveNodes cuts off two of five nodes, and then kills two at the same moment. It takes a minute, so it is for -faults.long.
func TestFiveNodes(t *testing.T) { // G1, G2, G8
	if !*long {
		t.Log("nothing is tested without -faults.long: use make faults")
		return
	}
	c, hosts := newPartitionable(t, 5)
	if c == nil {
		c = newCluster(t, 5)
	}
	l := c.startLoad(6, 40)
	l.awaitAll("the start")
	if hosts != nil {
		c.cutOffTwo(hosts[3:], l)
	}
	for _, node := range c.nodes[:2] {
		node.kill()
	}
	l.awaitAll("kill -9 of two of five")
	for _, node := range c.nodes[:2] {
		node.start()
	}
	c.awaitMembers(5, c.nodes...)
	l.awaitAll("the return")
	l.check()
}

// TestTLSIsPatient kills a node and suspends another of a cluster with TLS, where GoAkt takes some 25 seconds to give one up.
// Nobody waits for that.
func TestTLSIsPatient(t *testing.T) { // G1, G2, G8, G12
	if !*long {
		t.Log("nothing is tested without -faults.long: use make faults")
		return
	}
	ours := newAuthority(t)
	c := newCluster(t, 5, func(_ int, spec *nodeSpec) { spec.TLS = ours.issue(t, ours) })
	l := c.startLoad(6, 24)
	l.awaitAll("the start")
	c.nodes[4].kill()
	c.nodes[4].out.Store(true)
	l.awaitAll("kill -9")
	c.awaitMembers(4, c.nodes[:4]...)
	for killed := time.Now(); time.Since(killed) < 40*time.Second; {
		for _, node := range c.nodes[:4] {
			require.Len(t, node.must(call{Op: "topology"}).Topology.Members, 4, "%s counts the dead node in again", node.name)
		}
		<-time.After(100 * time.Millisecond)
	}
	l.awaitAll("40 seconds more")
	c.nodes[3].signal(syscall.SIGSTOP)
	c.nodes[3].out.Store(true)
	l.awaitAll("SIGSTOP")
	c.nodes[3].signal(syscall.SIGCONT)
	c.nodes[4].start()
	c.awaitMembers(5, c.nodes...)
	l.awaitAll("the return")
	l.check()
}

// cutOffTwo cuts the last two nodes off, together, until they have stopped.
func (c *testCluster) cutOffTwo(hosts []*netns.Host, l *load) {
	c.t.Helper()
	for i, host := range hosts {
		c.nodes[3+i].out.Store(true)
		host.CutOff()
	}
	l.awaitAll("a partition of 3 and 2")
	for _, node := range c.nodes[3:] {
		await(c.t, "the minority stops", func() bool {
			a, err := node.call(c.t.Context(), call{Op: "health"})
			return err == nil && slices.Contains(a.Matches, "ErrNoQuorum")
		})
	}
	for _, host := range hosts {
		host.Heal()
	}
	c.awaitMembers(5, c.nodes...)
	for _, node := range c.nodes[3:] {
		node.out.Store(false)
	}
	l.awaitAll("the partition ended")
}
