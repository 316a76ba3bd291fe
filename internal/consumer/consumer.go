package consumer

import (
	"context"
	"sync"
	"time"

	"github.com/actorkeep/ego/offsetstore"
)

// A Consumer is one consumer in this process: a worker for each of its shards that this process owns.
type Consumer struct {
	group *Group
	spec  Spec

	kick     chan struct{} // the share of shards should be looked at
	stopping chan struct{} // closed by stop
	done     chan struct{} // closed at the end
	once     sync.Once

	seat *hold // used by run alone

	mu       sync.Mutex
	workers  map[uint32]*worker
	failed   error // why the share of shards cannot be seen to
	ended    counts
	progress chan struct{} // closed when a worker has come further; nil while nobody waits
}

func newConsumer(g *Group, spec Spec) *Consumer {
	return &Consumer{
		group:    g,
		spec:     spec,
		kick:     make(chan struct{}, 1),
		stopping: make(chan struct{}),
		done:     make(chan struct{}),
		workers:  make(map[uint32]*worker),
	}
}

// run sees to it that this process owns its share of the shards, until stop.
func (c *Consumer) run() {
	defer close(c.done)
	defer c.group.forget(c)
	var delay backoff
	for {
		wait, err := c.balance()
		c.mu.Lock()
		c.failed = err
		c.mu.Unlock()
		if err != nil {
			wait = delay.next()
			c.group.config.Logger.Warn("the shards of a consumer cannot be shared", "consumer", c.spec.Name, "error", err)
		} else {
			delay.reset()
		}
		timer := time.NewTimer(wait)
		select {
		case <-c.kick:
		case <-timer.C:
		case <-c.seatLost():
		case <-c.stopping:
			timer.Stop()
			c.end()
			return
		}
		timer.Stop()
	}
}

// seatLost returns a channel that is closed when the seat is another's, nil while there is none.
func (c *Consumer) seatLost() <-chan struct{} {
	if c.seat == nil {
		return nil
	}
	return c.seat.ctx.Done()
}

// balance takes a seat, gives up shards above the share of this process, or looks for some below it. It returns when to
// look again.
func (c *Consumer) balance() (time.Duration, error) {
	ctx := c.group.ctx
	if c.seat != nil && c.seat.ctx.Err() != nil {
		c.seat = nil
	}
	if c.seat == nil {
		seat, err := c.group.roster.join(ctx, c.spec.Name)
		if err != nil {
			return 0, err
		}
		c.seat = seat
		c.group.refreshRoster(ctx)
	}
	target := c.group.roster.target(c.spec.Name, c.spec.Feed.source.Shards())
	missing := target - c.keepAtMost(target)
	if missing == 0 {
		return time.Hour, nil // members and workers that come and go kick
	}
	return c.group.config.searchEvery(), c.take(ctx, missing)
}

// keepAtMost drains workers beyond a number and returns how many are left.
func (c *Consumer) keepAtMost(target int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := 0
	for _, w := range c.workers {
		if w.draining() {
			continue
		}
		if kept == target {
			w.drainSoon()
			continue
		}
		kept++
	}
	return kept
}

// take leases shards that are free, at most so many, and starts workers on them.
func (c *Consumer) take(ctx context.Context, missing int) error {
	var known []offsetstore.Lease
	err := c.group.config.call(ctx, func(ctx context.Context) (err error) {
		known, err = c.group.config.Offsets.Leases(ctx, c.spec.Name)
		return err
	})
	if err != nil {
		return err
	}
	shards := c.free(known)
	if len(shards) == 0 {
		return nil
	}
	holds, err := c.group.keeper.acquire(ctx, c.spec.Name, c.group.config.Owner, shards[:min(missing, len(shards))]...)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range holds {
		w := newWorker(c, h)
		c.workers[h.lease.Shard] = w
		c.group.wg.Go(w.run)
	}
	return nil
}

// free returns the shards that nobody holds and that no worker of this process is at. A lease of our own without a worker is
// one that we were not told of.
func (c *Consumer) free(known []offsetstore.Lease) []uint32 {
	held := make(map[uint32]bool, len(known))
	for _, lease := range known {
		held[lease.Shard] = taken(lease) && lease.Owner != c.group.config.Owner
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var shards []uint32
	for shard := range c.spec.Feed.source.Shards() {
		if !held[shard] && c.workers[shard] == nil {
			shards = append(shards, shard)
		}
	}
	return shards
}

// gone forgets a worker that has ended.
func (c *Consumer) gone(w *worker) {
	c.mu.Lock()
	delete(c.workers, w.shard)
	c.ended.add(&w.counts)
	c.mu.Unlock()
	signal(c.kick)
}

// end drains all workers, waits for them and leaves the roster.
func (c *Consumer) end() {
	for _, w := range c.working() {
		w.drainSoon()
	}
	for _, w := range c.working() {
		<-w.done
	}
	if c.seat != nil {
		c.group.keeper.release(c.seat)
	}
}

func (c *Consumer) working() []*worker {
	c.mu.Lock()
	defer c.mu.Unlock()
	workers := make([]*worker, 0, len(c.workers))
	for _, w := range c.workers {
		workers = append(workers, w)
	}
	return workers
}

// stop ends the consumer and waits for it, or cancels its handlers when the context ends first.
func (c *Consumer) stop(ctx context.Context) error {
	c.once.Do(func() { close(c.stopping) })
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	}
	for _, w := range c.working() {
		w.hold.drop(errForced)
	}
	return ctx.Err()
}

func (c *Consumer) isStopping() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}

// advanced tells those who wait that a worker has come further.
func (c *Consumer) advanced() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.progress != nil {
		close(c.progress)
		c.progress = nil
	}
}

// nextProgress returns a channel that is closed when a worker has come further.
func (c *Consumer) nextProgress() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.progress == nil {
		c.progress = make(chan struct{})
	}
	return c.progress
}
