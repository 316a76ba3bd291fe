package consumer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A Group runs the consumers of a process. All methods are safe for concurrent use.
type Group struct {
	config Config
	keeper *keeper
	roster *roster

	ctx    context.Context //nolint:containedctx // the lifetime of the group, handed to everything that runs in it
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	started   bool // leases are kept
	stopped   bool
	feeds     map[*Feed]bool // true: running
	consumers map[string]*Consumer
	serving   map[requestKey]bool
}

// New returns a group that runs nothing yet. It panics without an offset store or an owner.
func New(config Config) *Group {
	if config.Offsets == nil || config.Owner == "" {
		panic("consumer: no offset store, or no owner")
	}
	g := &Group{
		config:    config.withDefaults(),
		feeds:     make(map[*Feed]bool),
		consumers: make(map[string]*Consumer),
		serving:   make(map[requestKey]bool),
	}
	g.keeper = newKeeper(&g.config)
	g.roster = &roster{config: &g.config, keeper: g.keeper}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Feed returns a new feed of a source. The store of the source is the second argument; when it is a
// [persistence.Notifier], the feed listens to it.
func (g *Group) Feed(source Source, store any) *Feed {
	notifier, _ := store.(persistence.Notifier)
	f := newFeed(source, notifier, &g.config)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.feeds[f] = false
	return f
}

// Start runs a consumer, and returns the one that runs already when there is one of that name. It waits for one of that name
// that is stopping.
func (g *Group) Start(ctx context.Context, spec Spec) (*Consumer, error) {
	spec = spec.withDefaults()
	spec.Sink = g.traced(&spec)
	if spec.FromNow {
		if err := g.lookUpHeads(ctx, &spec); err != nil {
			return nil, err
		}
	}
	for {
		c, err := g.start(spec)
		if err != nil || !c.isStopping() {
			return c, err
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lookUpHeads fixes where now is.
func (g *Group) lookUpHeads(ctx context.Context, spec *Spec) error {
	return g.config.call(ctx, func(ctx context.Context) (err error) {
		spec.heads, err = spec.Feed.source.Heads(ctx)
		return err
	})
}

func (g *Group) start(spec Spec) (*Consumer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return nil, ErrStopped
	}
	if c := g.consumers[spec.Name]; c != nil {
		return c, nil
	}
	g.startKeeping()
	g.startFeed(spec.Feed)
	c := newConsumer(g, spec)
	g.consumers[spec.Name] = c
	g.wg.Go(c.run)
	return c, nil
}

// startKeeping starts what keeps the leases. The lock is held.
func (g *Group) startKeeping() {
	if g.started {
		return
	}
	g.started = true
	g.wg.Go(func() { g.keeper.run(g.ctx) })
	g.wg.Go(g.watchRoster)
	if g.config.Letters != nil {
		g.wg.Go(g.serveRequests)
	}
}

// keep starts what keeps the leases, for those that no consumer needs. It is false when the group has stopped.
func (g *Group) keep() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.stopped {
		g.startKeeping()
	}
	return !g.stopped
}

// startFeed starts a feed that does not run yet. The lock is held.
func (g *Group) startFeed(f *Feed) {
	if g.feeds[f] {
		return
	}
	g.feeds[f] = true
	g.wg.Go(func() { f.dispatch(g.ctx) })
	g.wg.Go(func() { f.poll(g.ctx) })
	if f.notifier != nil {
		g.wg.Go(func() { f.hear(g.ctx) })
	}
}

// watchRoster lets consumers look at their shares when processes come and go.
func (g *Group) watchRoster() {
	for sleep(g.ctx, g.config.rosterEvery(), nil) == nil {
		g.refreshRoster(g.ctx)
	}
}

func (g *Group) refreshRoster(ctx context.Context) {
	changed, err := g.roster.refresh(ctx)
	if err != nil {
		return // the next one follows soon, and Health tells
	}
	for _, name := range changed {
		if c := g.Consumer(name); c != nil {
			signal(c.kick)
		}
	}
}

// Consumer returns the consumer of a name when this process runs it, else nil.
func (g *Group) Consumer(name string) *Consumer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.consumers[name]
}

// StopConsumer stops a consumer, see [Group.Stop]. It does nothing when it does not run.
func (g *Group) StopConsumer(ctx context.Context, name string) error {
	c := g.Consumer(name)
	if c == nil {
		return nil
	}
	return c.stop(ctx)
}

// Stop ends all consumers: each finishes the events that its handlers are at, records them and gives its shards back. When
// the context ends first, handlers are canceled and Stop returns its error. It may be called again.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.stopped = true
	running := make([]*Consumer, 0, len(g.consumers))
	for _, c := range g.consumers {
		running = append(running, c)
	}
	g.mu.Unlock()

	problems := make([]error, len(running))
	var stopping sync.WaitGroup
	for i, c := range running {
		stopping.Go(func() { problems[i] = c.stop(ctx) })
	}
	stopping.Wait()
	g.cancel()
	if err := errors.Join(problems...); err != nil {
		return err
	}
	g.wg.Wait()
	return nil
}

// forget removes a consumer that has ended.
func (g *Group) forget(c *Consumer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.consumers[c.spec.Name] == c {
		delete(g.consumers, c.spec.Name)
	}
}

// Health returns why consumers do not work, nil when all do.
func (g *Group) Health() error {
	g.mu.Lock()
	running := make([]*Consumer, 0, len(g.consumers))
	for _, c := range g.consumers {
		running = append(running, c)
	}
	var problems []error
	for f := range g.feeds {
		if err := f.err(); err != nil {
			problems = append(problems, fmt.Errorf("consumer: new events cannot be asked for: %w", err))
		}
	}
	g.mu.Unlock()
	if err := g.roster.err(); err != nil && len(running) > 0 {
		problems = append(problems, fmt.Errorf("consumer: the shares of other processes cannot be read: %w", err))
	}
	for _, c := range running {
		if status := c.Status(); status.Err != nil {
			problems = append(problems, fmt.Errorf("consumer %q is %v: %w", c.spec.Name, status.State, status.Err))
		}
	}
	return errors.Join(problems...)
}

// Lowest returns the position in a shard that all of the consumers named have come to. One without an offset has not begun.
func (g *Group) Lowest(ctx context.Context, shard uint32, names ...string) (uint64, error) {
	lowest := uint64(math.MaxUint64)
	for _, name := range names {
		offsets, err := g.offsets(ctx, name)
		if err != nil {
			return 0, err
		}
		if lowest = min(lowest, offsets[shard].GetPosition()); lowest == 0 {
			return 0, nil
		}
	}
	return lowest, nil
}

// offsets returns the offsets of a consumer by shard.
func (g *Group) offsets(ctx context.Context, name string) (map[uint32]*egopb.Offset, error) {
	var stored []*egopb.Offset
	err := g.config.call(ctx, func(ctx context.Context) (err error) {
		stored, err = g.config.Offsets.Offsets(ctx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	offsets := make(map[uint32]*egopb.Offset, len(stored))
	for _, offset := range stored {
		offsets[offset.GetShard()] = offset
	}
	return offsets, nil
}
