package consumer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// counts count events.
type counts struct {
	handled, passed, skipped, parked, retries atomic.Uint64
}

func (c *counts) add(other *counts) {
	c.handled.Add(other.handled.Load())
	c.passed.Add(other.passed.Load())
	c.skipped.Add(other.skipped.Load())
	c.parked.Add(other.parked.Load())
	c.retries.Add(other.retries.Load())
}

func (c *counts) exported() projection.Counts {
	return projection.Counts{
		Handled: c.handled.Load(),
		Passed:  c.passed.Load(),
		Skipped: c.skipped.Load(),
		Parked:  c.parked.Load(),
		Retries: c.retries.Load(),
	}
}

// Status returns the condition of the consumer, with the shards that this process owns.
func (c *Consumer) Status() projection.Status {
	status := projection.Status{Name: c.spec.Name, State: projection.Running}
	var total counts
	c.mu.Lock()
	total.add(&c.ended)
	if c.failed != nil {
		status.State, status.Err = projection.BackingOff, c.failed
	}
	for _, w := range c.workers {
		total.add(&w.counts)
		shard := w.status()
		status.Shards = append(status.Shards, shard)
		if shard.State > status.State {
			status.State, status.Err = shard.State, shard.Err
		}
	}
	c.mu.Unlock()
	status.Counts = total.exported()
	slices.SortFunc(status.Shards, func(a, b projection.ShardStatus) int { return cmp.Compare(a.Shard, b.Shard) })
	return status
}

// Statuses returns the conditions of the consumers that this process runs, as it knows them without asking the store.
func (g *Group) Statuses() []projection.Status {
	g.mu.Lock()
	running := slices.Collect(maps.Values(g.consumers))
	g.mu.Unlock()
	statuses := make([]projection.Status, len(running))
	for i, c := range running {
		statuses[i] = c.Status()
	}
	return statuses
}

// Position returns how far the consumer has come in a shard that this process owns.
func (c *Consumer) position(shard uint32) (position uint64, local bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.workers[shard]
	if w == nil || !w.loaded.Load() || w.hold.ctx.Err() != nil {
		return 0, false
	}
	return w.recorded.Load(), true
}

// Status returns the condition of a consumer with all its shards, those of other processes included.
func (g *Group) Status(ctx context.Context, spec Spec) projection.Status {
	status := projection.Status{Name: spec.Name}
	if c := g.Consumer(spec.Name); c != nil {
		status = c.Status()
	}
	others, err := g.others(ctx, spec, status.Shards)
	if err != nil && status.Err == nil {
		status.Err = err
	}
	status.Shards = append(status.Shards, others...)
	slices.SortFunc(status.Shards, func(a, b projection.ShardStatus) int { return cmp.Compare(a.Shard, b.Shard) })
	return status
}

// others returns what the store knows of the shards that are not among those of this process.
func (g *Group) others(ctx context.Context, spec Spec, local []projection.ShardStatus) ([]projection.ShardStatus, error) {
	var leases []offsetstore.Lease
	err := g.config.call(ctx, func(ctx context.Context) (err error) {
		leases, err = g.config.Offsets.Leases(ctx, spec.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	offsets, err := g.offsets(ctx, spec.Name)
	if err != nil {
		return nil, err
	}
	var others []projection.ShardStatus
	byShard := make(map[uint32]offsetstore.Lease, len(leases))
	for _, lease := range leases {
		byShard[lease.Shard] = lease
	}
	for shard := range spec.Feed.source.Shards() {
		if slices.ContainsFunc(local, func(s projection.ShardStatus) bool { return s.Shard == shard }) {
			continue
		}
		other := projection.ShardStatus{Shard: shard, Position: offsets[shard].GetPosition()}
		if lease := byShard[shard]; taken(lease) {
			other.Owner, other.Epoch, other.State = lease.Owner, lease.Epoch, projection.Running
		}
		others = append(others, other)
	}
	return others, nil
}
