package consumer

import (
	"context"
	"time"
)

// askAgain is how often the store is asked for offsets that other processes commit, while somebody waits for them.
const askAgain = 25 * time.Millisecond

// WaitFor returns once a consumer, in this process or another, has recorded that everything in a shard up to a position is
// done, or with the error of the context.
func (g *Group) WaitFor(ctx context.Context, name string, shard uint32, position uint64) error {
	for {
		reached, progress, err := g.reached(ctx, name, shard, position)
		if reached || err != nil {
			return err
		}
		timer := time.NewTimer(askAgain)
		select {
		case <-progress:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// reached reports whether a position is recorded, and else returns a channel that is closed when that may have changed.
func (g *Group) reached(ctx context.Context, name string, shard uint32, position uint64) (bool, <-chan struct{}, error) {
	var progress <-chan struct{}
	if c := g.Consumer(name); c != nil {
		progress = c.nextProgress()
		if at, local := c.position(shard); local {
			return at >= position, progress, nil
		}
	}
	offsets, err := g.offsets(ctx, name)
	return err == nil && offsets[shard].GetPosition() >= position && offsets[shard] != nil, progress, err
}
