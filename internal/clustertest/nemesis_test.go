package clustertest

import (
	"flag"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

var (
	nemesisTime = flag.Duration("nemesis.time", 15*time.Second, "how long TestNemesis goes on")
	nemesisSeed = flag.Uint64("nemesis.seed", 0, "what decides the faults of TestNemesis; zero is a random one")
)

// Faults of all sorts happen to random nodes at random moments, one after another and sometimes two at once.
func TestNemesis(t *testing.T) { // G1, G2, G8
	seed := *nemesisSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-nemesis.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c, network := newPartitionable(t, 3)
	if c == nil {
		c = newCluster(t, 3)
	}
	l := c.startLoad(8, 24)
	l.awaitAll("the start")
	for begun := time.Now(); time.Since(begun) < *nemesisTime; {
		c.harm(random, network)
		c.awaitMembers(3, c.nodes...)
		l.awaitAll("it")
	}
	l.check()
}

// harm does something to a node and undoes it after a while.
func (c *testCluster) harm(random *rand.Rand, network *network) {
	c.t.Helper()
	i := random.IntN(len(c.nodes))
	node, while := c.nodes[i], time.Duration(random.IntN(9_000))*time.Millisecond
	node.out.Store(true)
	defer node.out.Store(false)
	wait := func() { <-time.After(while) }
	switch fault := random.IntN(4); {
	case fault == 0:
		c.t.Logf("%s is killed for %v", node.name, while)
		node.kill()
		wait()
		node.start()
	case fault == 1:
		c.t.Logf("%s is stopped for %v", node.name, while)
		node.stop()
		wait()
		node.start()
	case fault == 2 || network == nil:
		c.t.Logf("%s is suspended for %v", node.name, while)
		node.signal(syscall.SIGSTOP)
		wait()
		node.signal(syscall.SIGCONT)
	default:
		c.t.Logf("%s is cut off for %v", node.name, while)
		network.move(i+1, "apart")
		wait()
		network.move(i+1, "main")
	}
}
