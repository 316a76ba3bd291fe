package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An op is a deposit, or a question for the state when it has no note, as its client saw it.
type op struct {
	entity   string
	note     string // unique: the command id as well
	begun    time.Time
	ended    time.Time // zero when it was never acknowledged
	revision uint64
	tries    int
}

// load is a set of clients that write to entities through random nodes and remember what they were told.
type load struct {
	t        testing.TB
	nodes    []*testNode
	entities []string
	cancel   context.CancelFunc
	ctx      context.Context
	clients  sync.WaitGroup

	mu  sync.Mutex
	ops []*op
	gap bool // an entity never answers again
}

// startLoad starts clients that go on until check.
func (c *testCluster) startLoad(clients, entities int) *load {
	c.t.Helper()
	l := &load{t: c.t, nodes: c.nodes}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	c.t.Cleanup(l.cancel)
	for i := range entities {
		id := fmt.Sprint("account-", i)
		c.nodes[0].must(call{Op: "entity", ID: id})
		c.nodes[0].must(call{Op: "deposit", ID: id, Amount: 1, Note: "first", CommandID: "first"})
		l.entities = append(l.entities, id)
	}
	for i := range clients {
		l.clients.Go(func() { l.client(i) })
	}
	return l
}

// client deposits over and over. Every deposit is tried again, under its id, until it is acknowledged.
func (l *load) client(number int) {
	random := rand.New(rand.NewPCG(uint64(number), 1))
	for i := 0; l.ctx.Err() == nil; i++ {
		o := &op{entity: l.entities[random.IntN(len(l.entities))], begun: time.Now()}
		if i%4 != 3 {
			o.note = fmt.Sprintf("%d-%d", number, i)
		}
		l.mu.Lock()
		l.ops = append(l.ops, o)
		l.mu.Unlock()
		for !l.try(o, l.node(random)) {
			if l.pause(20*time.Millisecond) != nil {
				return
			}
		}
		if l.pause(time.Duration(random.IntN(10))*time.Millisecond) != nil {
			return
		}
	}
}

// node returns a random node among those that the clients are sent to.
func (l *load) node(random *rand.Rand) *testNode {
	for {
		if node := l.nodes[random.IntN(len(l.nodes))]; !node.out.Load() {
			return node
		}
	}
}

func (l *load) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

// try asks a node once. It is true when the node has acknowledged.
func (l *load) try(o *op, node *testNode) bool {
	asked := call{Op: "state", ID: o.entity, Timeout: 3 * time.Second}
	if o.note != "" {
		asked.Op, asked.Amount, asked.Note, asked.CommandID = "deposit", 1, o.note, o.note
	}
	begun := time.Now()
	a, err := node.call(l.ctx, asked)
	l.mu.Lock()
	defer l.mu.Unlock()
	o.tries++
	l.gap = l.gap || isGap(a.Error)
	if err != nil || a.Error != "" {
		return false
	}
	if o.note == "" {
		o.begun = begun // a question that failed asked nothing
	}
	o.ended, o.revision = time.Now(), a.Revision
	return true
}

// isGap is true for the answer of an entity whose journal has lost events that others follow: no later answer is another.
func isGap(message string) bool {
	return strings.Contains(message, "the events between were deleted")
}

// damaged is true when an entity was found that never answers again.
func (l *load) damaged() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gap
}

// acknowledged counts what was acknowledged since a moment.
func (l *load) acknowledged(since time.Time) (entities, ops int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]bool{}
	for _, o := range l.ops {
		if o.note != "" && o.begun.After(since) && !o.ended.IsZero() {
			seen[o.entity] = true
			ops++
		}
	}
	return len(seen), ops
}

// awaitAll waits until every entity has acknowledged a deposit that was begun from now on, and says how long that took.
func (l *load) awaitAll(what string) {
	l.t.Helper()
	begun := time.Now()
	await(l.t, "every entity answers again after "+what, func() bool {
		n, _ := l.acknowledged(begun)
		return n == len(l.entities)
	})
	l.t.Logf("every entity answered again %v after %s", time.Since(begun).Round(time.Millisecond), what)
}

// check stops the clients and compares what they were told with what the cluster says.
func (l *load) check() {
	l.t.Helper()
	acknowledged, err := l.verdict()
	require.NoError(l.t, err)
	l.t.Logf("%d acknowledged deposits are there once, in order", acknowledged)
	require.Greater(l.t, acknowledged, len(l.entities))
}

// verdict stops the clients and returns how much was acknowledged, and what is wrong with it.
func (l *load) verdict() (acknowledged int, err error) {
	l.t.Helper()
	l.cancel()
	l.clients.Wait()
	for _, id := range l.entities {
		var final answer
		await(l.t, id+" answers", func() bool {
			a, err := l.nodes[0].call(context.Background(), call{Op: "state", ID: id})
			if err != nil || a.Error != "" {
				l.t.Logf("%s does not answer: %v %s", id, err, a.Error)
			}
			final = a
			return err == nil && (a.Error == "" || isGap(a.Error))
		})
		ops, deposits := l.of(id)
		acknowledged += deposits
		if found := violation(ops, &final); found != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", id, found))
		}
	}
	return acknowledged, err
}

// of returns what was acknowledged of an entity.
func (l *load) of(id string) (ops []*op, deposits int) {
	for _, o := range l.ops {
		if o.entity == id && !o.ended.IsZero() {
			ops = append(ops, o)
			if o.note != "" {
				deposits++
			}
		}
	}
	return ops, deposits
}
