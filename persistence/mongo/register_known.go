package mongo

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// knownFor is how long a store goes on from a register that it wrote itself. It is a part of [longestChange], which bounds
// how old what a change rests on may be when it is over.
const knownFor = longestChange / 2

// A registerKey is one shard of a consumer.
type registerKey struct {
	consumer string
	shard    uint32
}

// A knownRegister is a register that this store wrote, and a moment before it was there.
type knownRegister struct {
	*register
	since time.Time
}

// registerCache remembers the registers that a store wrote last, so that who commits offsets one after another need not read
// each before the next. What is remembered may have been superseded: only an insert that rests on it and succeeds proves that
// it was not. Its locks keep the calls of one store from taking numbers from each other.
type registerCache struct {
	seed  maphash.Seed
	locks [64]chan struct{} // each for the registers that hash to it; taken in order

	mu    sync.Mutex
	known map[registerKey]knownRegister
}

func newRegisterCache() *registerCache {
	c := &registerCache{seed: maphash.MakeSeed(), known: make(map[registerKey]knownRegister)}
	for i := range c.locks {
		c.locks[i] = make(chan struct{}, 1)
	}
	return c
}

// lock waits for the calls of this store that change the same registers.
func (c *registerCache) lock(ctx context.Context, consumer string, shards []uint32) (unlock func(), err error) {
	wanted := make([]int, len(shards))
	for i, shard := range shards {
		wanted[i] = int(maphash.Comparable(c.seed, registerKey{consumer, shard}) % uint64(len(c.locks)))
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	for i, n := range wanted {
		select {
		case c.locks[n] <- struct{}{}:
		case <-ctx.Done():
			c.unlock(wanted[:i])
			return nil, ctx.Err()
		}
	}
	return func() { c.unlock(wanted) }, nil
}

func (c *registerCache) unlock(held []int) {
	for _, n := range held {
		<-c.locks[n]
	}
}

// recall returns the registers of all the shards, and since when they are known at least, or nil when one is not.
func (c *registerCache) recall(consumer string, shards []uint32) (map[uint32]*register, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, since := make(map[uint32]*register, len(shards)), time.Now()
	for _, shard := range shards {
		known, ok := c.known[registerKey{consumer, shard}]
		if !ok || time.Since(known.since) > knownFor {
			return nil, since
		}
		found[shard] = known.register
		if known.since.Before(since) {
			since = known.since
		}
	}
	return found, since
}

// remember keeps registers that were inserted after a moment. They are not to be changed any more.
func (c *registerCache) remember(consumer string, registers []*register, since time.Time) {
	const most = 4096
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) > most {
		clear(c.known)
	}
	for _, r := range registers {
		c.known[registerKey{consumer, uint32(r.Shard)}] = knownRegister{r, since} //nolint:gosec // it was one
	}
}

func (c *registerCache) forget(consumer string, shards []uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, shard := range shards {
		delete(c.known, registerKey{consumer, shard})
	}
}
