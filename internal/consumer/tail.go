package consumer

import (
	"context"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// tailPage is how many records a tail reads of a shard at once.
const tailPage = 100

// Tail yields the records of all shards of a feed as they come, those of one shard in order, until the context ends, yield
// says so, or the store fails. It takes no lease and remembers nothing. It begins behind the positions given; a shard
// without one begins at its first record.
func (g *Group) Tail(ctx context.Context, f *Feed, after map[uint32]uint64, yield func(record *egopb.Event) bool) error {
	if !g.listen(f) {
		return ErrStopped
	}
	ears := make([]*ear, f.source.Shards())
	wake := make(chan struct{}, 1)
	for i := range ears {
		shard := uint32(i)
		ears[i] = newEar(tailInterval)
		ears[i].wake = wake
		ears[i].position.Store(after[shard])
		f.add(shard, ears[i])
		defer f.remove(shard, ears[i]) //nolint:revive // all of them, at the end
	}
	for {
		for i, e := range ears {
			more, err := g.tailShard(ctx, f, uint32(i), e, yield)
			if err != nil || !more {
				return err
			}
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-g.ctx.Done():
			return ErrStopped
		}
	}
}

const tailInterval = 100 * time.Millisecond

// tailShard yields what is new in a shard. It is false when yield was.
func (g *Group) tailShard(ctx context.Context, f *Feed, shard uint32, e *ear, yield func(record *egopb.Event) bool) (bool, error) {
	for {
		page, err := g.reader(ctx, f.source, shard, tailPage)(e.position.Load())
		if err != nil {
			return false, err
		}
		for _, record := range page {
			after := e.position.Load()
			if f.source.Gapless() && record.GetPosition() != after+1 {
				return false, &GapError{Consumer: "tail", Shard: shard, After: after, Found: record.GetPosition()}
			}
			e.position.Store(record.GetPosition())
			if !yield(record) {
				return false, nil
			}
		}
		if len(page) < tailPage {
			return true, nil
		}
	}
}

// Heads returns where the shards of a feed end.
func (g *Group) Heads(ctx context.Context, f *Feed) (heads map[uint32]uint64, err error) {
	err = g.config.call(ctx, func(ctx context.Context) error {
		heads, err = f.source.Heads(ctx)
		return err
	})
	return heads, err
}

// listen starts a feed. It is false when the group has stopped.
func (g *Group) listen(f *Feed) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.stopped {
		g.startFeed(f)
	}
	return !g.stopped
}
