package clustertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
)

// benchEntities are those that the clients of a benchmark write to.
const benchEntities = 300

func benchEntity(i int) string { return fmt.Sprint("account-", i%benchEntities) }

// work has clients in this process send deposits, count altogether, and returns how long each took, those to entities of
// this node and those to entities of others by themselves.
func work(ctx context.Context, engine *ego.Engine, senders, count int) (a answer) {
	topology, err := engine.Topology(ctx)
	if err != nil {
		return newAnswer(nil, 0, err)
	}
	self := topology.Members[slices.IndexFunc(topology.Members, func(m ego.TopologyMember) bool { return m.Self })].Address
	var mu sync.Mutex
	var clients sync.WaitGroup
	for sender := range senders {
		clients.Go(func() {
			var own, others []time.Duration
			var failed error
			for i := sender; i < count && failed == nil; i += senders {
				id := benchEntity(i * 7)
				begun := time.Now()
				_, _, failed = engine.SendCommand(ctx, id, &testpb.Deposit{Amount: 1}, time.Minute)
				took := time.Since(begun)
				if topology.Shards[persistence.ShardOf(id, uint32(len(topology.Shards)))] == self {
					own = append(own, took)
				} else {
					others = append(others, took)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if failed != nil {
				a.Error = failed.Error()
			}
			a.Own, a.Others = append(a.Own, own...), append(a.Others, others...)
		})
	}
	clients.Wait()
	return a
}

// BenchmarkProcesses shares clients out over one, two and three processes, which all take commands for all entities, on one
// PostgreSQL server. A command is to an entity of another node as often as that has it. Beside them it measures what GoAkt's
// RemoteBatchAsk takes from one of these processes to another.
func BenchmarkProcesses(b *testing.B) {
	for processes := 1; processes <= 3; processes++ {
		b.Run(fmt.Sprint("processes=", processes), func(b *testing.B) {
			c := newCluster(b, processes)
			c.openBenchEntities(b)
			for _, node := range c.nodes {
				c.workAll(b, []*testNode{node}, 1, benchEntities) // brings entities to life, and connections
			}
			for _, senders := range []int{1, 66} {
				b.Run(fmt.Sprint("senders=", senders), func(b *testing.B) { c.benchmark(b, senders) })
				if processes == 2 {
					b.Run(fmt.Sprint("bare/batch=", senders), func(b *testing.B) { c.benchmarkBare(b, senders) })
				}
			}
		})
	}
}

func (c *testCluster) benchmark(b *testing.B, senders int) {
	b.Helper()
	asked := c.nodes[:min(senders, len(c.nodes))]
	b.ResetTimer()
	own, others := c.workAll(b, asked, senders/len(asked), max(b.N/len(asked), 1))
	all := append(slices.Clone(own), others...)
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "commands/s")
	report(b, all, "")
	report(b, own, "own-")
	report(b, others, "others-")
}

func (c *testCluster) openBenchEntities(b *testing.B) {
	b.Helper()
	for i := range benchEntities {
		c.nodes[0].must(call{Op: "entity", ID: benchEntity(i)})
	}
}

func (c *testCluster) workAll(b *testing.B, nodes []*testNode, senders, count int) (own, others []time.Duration) {
	b.Helper()
	answers := make([]answer, len(nodes))
	failures := make([]error, len(nodes))
	var working sync.WaitGroup
	for i, node := range nodes {
		working.Go(func() {
			answers[i], failures[i] = node.call(b.Context(), call{Op: "work", Senders: senders, Count: count, Timeout: 5 * time.Minute})
		})
	}
	working.Wait()
	for i := range answers {
		require.NoError(b, failures[i])
		require.Empty(b, answers[i].Error)
		own, others = append(own, answers[i].Own...), append(others, answers[i].Others...)
	}
	return own, others
}

func report(b *testing.B, took []time.Duration, of string) {
	b.Helper()
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, of+"p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, of+"p99-ms")
}

// BenchmarkJoin counts what moves when a third node joins two, of a thousand entities. What moves, moves to it.
func BenchmarkJoin(b *testing.B) {
	const entities = 1000
	owners := func(node *testNode) []string {
		shards := node.must(call{Op: "topology"}).Topology.Shards
		owners := make([]string, entities)
		for i := range owners {
			owners[i] = shards[persistence.ShardOf(fmt.Sprint("account-", i), uint32(len(shards)))]
		}
		return owners
	}
	moved := 0
	for b.Loop() {
		c := prepareCluster(b, 3)
		c.nodes[0].start()
		c.nodes[1].start()
		c.awaitMembers(2, c.nodes[:2]...)
		before := owners(c.nodes[0])
		c.nodes[2].start()
		c.awaitMembers(3, c.nodes...)
		newcomer := fmt.Sprintf("%s:%d", c.nodes[2].spec.Host, c.nodes[2].spec.Remoting)
		for i, owner := range owners(c.nodes[0]) {
			if owner != before[i] {
				require.Equal(b, newcomer, owner, "an entity moved between nodes that stayed")
				moved++
			}
		}
		for _, node := range c.nodes {
			node.stop()
		}
	}
	b.ReportMetric(float64(moved)/float64(b.N), "moved-of-1000")
}
