package consumer

import (
	"context"
	"time"
)

// Rebuild sets a consumer back, or forward, in all shards: before the first record that is not older than a time, or to the
// beginning when the time is zero. One call of the store does it for all shards, ends the leases of those who are at work,
// and forgets the dead letters that will be delivered again, so whatever crashes and whenever, either all of it is done or
// nothing.
func (g *Group) Rebuild(ctx context.Context, spec Spec, from time.Time) error {
	source := spec.Feed.source
	positions := make(map[uint32]uint64, source.Shards())
	for shard := range source.Shards() {
		position := uint64(0)
		if !from.IsZero() {
			var err error
			if position, err = before(from, g.reader(ctx, source, shard, seekPage)); err != nil {
				return err
			}
		}
		positions[shard] = position
	}
	err := g.config.call(ctx, func(ctx context.Context) error {
		return g.config.Offsets.ResetOffsets(ctx, spec.Name, positions)
	})
	if c := g.Consumer(spec.Name); c != nil {
		c.dropAll() // the leases are over in the store; those of other processes find out when they renew
	}
	return err
}

// dropAll ends the workers of this process because their leases are over.
func (c *Consumer) dropAll() {
	for _, w := range c.working() {
		w.hold.drop(w.hold.stale())
	}
}
