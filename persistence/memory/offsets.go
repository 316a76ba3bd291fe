package memory

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

// CommitOffset implements [offsetstore.OffsetStore].
func (s *Store) CommitOffset(ctx context.Context, lease offsetstore.Lease, position uint64) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	t := &s.consumers
	t.mu.Lock()
	defer t.mu.Unlock()
	held, err := t.held(lease)
	if err != nil {
		return err
	}
	if stored := held.offset.GetPosition(); position < stored {
		return fmt.Errorf("%w: offset %d of consumer %q in shard %d is below the stored %d",
			persistence.ErrInvalidArgument, position, lease.Consumer, lease.Shard, stored)
	}
	held.setOffset(lease.Consumer, lease.Shard, position, lease.Epoch)
	return nil
}

func (s *consumerShard) setOffset(consumer string, shard uint32, position, epoch uint64) {
	if s.offset == nil {
		s.offset = &egopb.Offset{Consumer: consumer, Shard: shard}
	}
	s.offset.Position, s.offset.Epoch, s.offset.TimeUnixNano = position, epoch, time.Now().UnixNano()
}

// Offsets implements [offsetstore.OffsetStore].
func (s *Store) Offsets(ctx context.Context, consumer string) ([]*egopb.Offset, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	t := &s.consumers
	t.mu.Lock()
	defer t.mu.Unlock()
	var offsets []*egopb.Offset
	for _, shard := range t.sorted(consumer) {
		if offset := t.find(consumer, shard).offset; offset != nil {
			offsets = append(offsets, proto.CloneOf(offset))
		}
	}
	return offsets, nil
}

// ResetOffsets implements [offsetstore.OffsetStore].
func (s *Store) ResetOffsets(ctx context.Context, consumer string, positions map[uint32]uint64) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if consumer == "" {
		return fmt.Errorf("%w: the consumer has no name", persistence.ErrInvalidArgument)
	}
	t := &s.consumers
	t.mu.Lock()
	defer t.mu.Unlock()
	for shard, position := range positions {
		known := t.shard(consumer, shard)
		epoch := uint64(0)
		if known.lease != nil {
			known.end()
			known.lease.epoch = t.nextEpoch()
			epoch = known.lease.epoch
		}
		known.setOffset(consumer, shard, position, epoch)
		known.forgetLetters(position)
	}
	return nil
}

// DeleteConsumer implements [offsetstore.OffsetStore]. Epochs are not forgotten: a lease from before stays stale.
func (s *Store) DeleteConsumer(ctx context.Context, consumer string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.consumers.mu.Lock()
	defer s.consumers.mu.Unlock()
	delete(s.consumers.consumers, consumer)
	return nil
}
