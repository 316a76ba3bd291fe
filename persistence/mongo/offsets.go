package mongo

import (
	"context"
	"math"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
)

// CommitOffset implements [offsetstore.OffsetStore].
func (s *Store) CommitOffset(ctx context.Context, lease offsetstore.Lease, position uint64) error {
	return s.update(ctx, "commit an offset to", lease.Consumer, []uint32{lease.Shard}, commit(lease, position))
}

// commit records an offset under a lease that is held.
func commit(lease offsetstore.Lease, position uint64) change {
	return func(_ uint32, r *register, now time.Time) (bool, error) {
		if err := r.check(lease); err != nil {
			return false, err
		}
		if position < uint64(r.Position) || position > math.MaxInt64 {
			return false, invalid("offset %d of consumer %q in shard %d; stored is %d, the highest possible %d",
				position, lease.Consumer, lease.Shard, r.Position, uint64(math.MaxInt64))
		}
		r.put(position, r.Epoch, now)
		return true, nil
	}
}

func (r *register) put(position uint64, epoch int64, now time.Time) {
	r.Committed, r.Position, r.ByEpoch, r.At = true, int64(position), epoch, now
}

// Offsets implements [offsetstore.OffsetStore].
func (s *Store) Offsets(ctx context.Context, consumer string) (offsets []*egopb.Offset, err error) {
	err = s.read(ctx, "read offsets from", func(ctx context.Context, c *session) error {
		known, err := c.registersOf(ctx, consumer)
		if err != nil {
			return err
		}
		offsets = nil
		for shard, r := range known {
			if r.Committed {
				offsets = append(offsets, &egopb.Offset{
					Consumer: consumer, Shard: shard, Position: uint64(r.Position), Epoch: uint64(r.ByEpoch), TimeUnixNano: r.At.UnixNano(),
				})
			}
		}
		slices.SortFunc(offsets, func(a, b *egopb.Offset) int { return int(a.GetShard()) - int(b.GetShard()) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return offsets, nil
}

// ResetOffsets implements [offsetstore.OffsetStore]. Each shard is reset by itself, its dead letters with it. When the call fails after some were,
// [persistence.NotWritten] does not hold for the error; it may be repeated.
func (s *Store) ResetOffsets(ctx context.Context, consumer string, positions map[uint32]uint64) error {
	if consumer == "" {
		return invalid("the consumer has no name")
	}
	shards := make([]uint32, 0, len(positions))
	wanted := make(map[uint32]uint64, len(positions))
	for shard, position := range positions {
		if position > math.MaxInt64 {
			return invalid("offset %d of consumer %q in shard %d", position, consumer, shard)
		}
		shards, wanted[shard] = append(shards, shard), position
	}
	return s.update(ctx, "reset offsets in", consumer, unique(shards), func(shard uint32, r *register, now time.Time) (bool, error) {
		epoch := int64(0)
		if r.Leased {
			r.release()
			r.Epoch++
			epoch = r.Epoch
		}
		r.put(wanted[shard], epoch, now)
		r.Reset = true
		return true, nil
	})
}

// DeleteConsumer implements [offsetstore.OffsetStore]. The last epoch of each shard stays, so a lease from before stays
// stale. When the call fails half-way, [persistence.NotWritten] does not hold for the error; it may be repeated.
func (s *Store) DeleteConsumer(ctx context.Context, consumer string) error {
	return s.write(ctx, "delete a consumer from", func(work context.Context, c *session) error {
		known, err := c.registersOf(work, consumer)
		if err != nil || len(known) == 0 {
			return err
		}
		shards := make([]uint32, 0, len(known))
		for shard := range known {
			shards = append(shards, shard)
		}
		err = c.update(ctx, work, consumer, unique(shards), func(_ uint32, r *register, _ time.Time) (bool, error) {
			r.release()
			r.Leased, r.Committed, r.Position, r.ByEpoch, r.At = false, false, 0, 0, time.Time{}
			return true, nil
		})
		if err != nil {
			return err
		}
		// Whoever parks now is refused, so no letter comes after this.
		if _, err := c.letters.DeleteMany(work, bson.D{{Key: "c", Value: consumer}}); err != nil {
			return &outcomeError{&partialError{err}}
		}
		return nil
	})
}
