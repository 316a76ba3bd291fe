package clustertest

import (
	"flag"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/chaos/wallclock"
	"github.com/actorkeep/ego/internal/netns"
	"github.com/actorkeep/ego/internal/pgtest"
)

var (
	nemesisTime = flag.Duration("nemesis.time", 15*time.Second, "how long TestNemesis goes on")
	nemesisSeed = flag.Uint64("nemesis.seed", 0, "what decides the faults of TestNemesis; zero is a random one")
)

// Faults of all sorts happen to random nodes at random moments, one after another and sometimes two at once. Every sort
// happens once before one happens again.
func TestNemesis(t *testing.T) { // G1, G2, G8
	n := newNemesis(t)
	l := n.startLoad(8, 24)
	l.awaitAll("the start")
	for begun := time.Now(); time.Since(begun) < *nemesisTime; {
		n.harm()
		n.awaitMembers(len(n.nodes), n.nodes...)
		l.awaitAll("it")
	}
	l.check()
	t.Logf("faults: %v", n.done)
}

// A nemesis does something to the nodes of a cluster and to its database, and undoes it after a while.
type nemesis struct {
	*testCluster

	random   *rand.Rand
	hosts    []*netns.Host // of the nodes; nil where there are no namespaces
	database *pgtest.Server
	left     []*fault // those that have to happen before one happens again
	done     map[string]int
}

// A fault is begun at a node, and ended there after a while.
type fault struct {
	name       string
	whole      bool // of the cluster and not of a node
	away       bool // nobody reaches the node meanwhile
	begin, end func(node int)
}

func newNemesis(t *testing.T) *nemesis {
	t.Helper()
	seed := *nemesisSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-nemesis.seed=%d", seed)
	n := &nemesis{random: rand.New(rand.NewPCG(seed, 0)), database: pgtest.Start(t, pgtest.Config{}), done: map[string]int{}}
	onDatabase := func(_ int, spec *nodeSpec) { spec.URL, spec.Schema = n.database.URL(), "ego" }
	n.testCluster, n.hosts = newPartitionable(t, 3, onDatabase)
	if n.testCluster == nil {
		n.testCluster = newCluster(t, 3, onDatabase)
	}
	return n
}

// faults returns all that can happen here.
func (n *nemesis) faults() []*fault {
	all := []*fault{
		{name: "kill", away: true, begin: func(i int) { n.nodes[i].kill() }, end: func(i int) { n.nodes[i].start() }},
		{name: "stop", away: true, begin: func(i int) { n.nodes[i].stop() }, end: func(i int) { n.nodes[i].start() }},
		{
			name: "suspend", away: true,
			begin: func(i int) { n.nodes[i].signal(syscall.SIGSTOP) }, end: func(i int) { n.nodes[i].signal(syscall.SIGCONT) },
		},
		{name: "database away", whole: true, begin: func(int) { n.database.Kill() }, end: func(int) { require.NoError(n.t, n.database.Launch()) }},
		{name: "rolling restart", whole: true, begin: func(int) { n.restartAll() }, end: func(int) {}},
	}
	if n.hosts != nil {
		all = append(all, &fault{
			name: "partition", away: true,
			begin: func(i int) { n.hosts[i].CutOff() }, end: func(i int) { n.hosts[i].Heal() },
		})
	}
	if wallclock.Step(0) {
		skew := 5 * time.Minute
		all = append(all,
			&fault{name: "clock ahead", begin: func(i int) { n.step(i, skew) }, end: func(i int) { n.step(i, -skew) }},
			&fault{name: "clock behind", begin: func(i int) { n.step(i, -skew) }, end: func(i int) { n.step(i, skew) }})
	}
	return all
}

// harm lets one fault happen, or two at once to two nodes.
func (n *nemesis) harm() {
	n.t.Helper()
	nodes := n.random.Perm(len(n.nodes))
	begun := []*fault{n.next()}
	if n.random.IntN(3) == 0 && !begun[0].whole {
		if second := n.next(); second.name != "rolling restart" { // which waits for all nodes
			begun = append(begun, second)
		} else {
			n.left = append(n.left, second)
		}
	}
	while := time.Duration(n.random.IntN(9_000)) * time.Millisecond
	for i, f := range begun {
		n.t.Logf("%s of %s for %v", f.name, n.nodes[nodes[i]].name, while)
		n.done[f.name]++
		n.nodes[nodes[i]].out.Store(f.away)
		f.begin(nodes[i])
	}
	<-time.After(while)
	for i, f := range slices.Backward(begun) { // the database is back before a process starts
		f.end(nodes[i])
		n.nodes[nodes[i]].out.Store(false)
	}
}

// next returns a fault that has not happened for longest.
func (n *nemesis) next() *fault {
	if len(n.left) == 0 {
		n.left = n.faults()
		n.random.Shuffle(len(n.left), func(i, j int) { n.left[i], n.left[j] = n.left[j], n.left[i] })
	}
	f := n.left[0]
	n.left = n.left[1:]
	return f
}

// restartAll restarts one node after another.
func (n *nemesis) restartAll() {
	n.t.Helper()
	for _, node := range n.nodes {
		node.out.Store(true)
		node.stop()
		node.start()
		n.awaitMembers(len(n.nodes), n.nodes...)
		node.out.Store(false)
	}
}

// step moves the clock of a node.
func (n *nemesis) step(i int, by time.Duration) {
	n.t.Helper()
	before := time.Now().Round(0)
	now := n.nodes[i].must(call{Op: "clock", By: by}).Clock
	n.t.Logf("its clock is off by %v", now.Sub(before).Round(time.Second))
}
