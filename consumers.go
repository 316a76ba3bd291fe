package ego

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/projection"
)

// consumers is what a node has to run consumers with. It is nil without an offset store.
type consumers struct {
	group  *consumer.Group
	events *consumer.Feed           // nil without an events store
	states *consumer.Feed           // nil without a state store
	opener consumer.Opener          // of events
	opens  consumer.Opener          // of states
	specs  map[string]consumer.Spec // of projections

	sagas   []string // subscriptions of sagas
	offsets offsetstore.OffsetStore

	mu        sync.RWMutex
	published map[string]consumer.Spec // of publishers, which come and go
	offered   map[string]consumer.Spec // of kinds of sagas
}

func newConsumers(c *config, s stores, owner string, codec *envelope.Codec, record *telemetry.Recorder) *consumers {
	if s.offsets == nil {
		return nil
	}
	group := consumer.New(consumer.Config{
		Offsets:     &lazyOffsets{OffsetStore: s.offsets, recorded: make(map[lazyShard]lazyOffset)},
		Letters:     s.letters,
		Owner:       owner,
		LeaseTime:   c.leaseTime,
		CallTimeout: c.writeTimeout,
		Logger:      c.logger,
		Telemetry:   record,
	})
	cs := &consumers{
		group:     group,
		offsets:   s.offsets,
		opener:    opener(codec),
		opens:     stateOpener(codec),
		specs:     make(map[string]consumer.Spec, len(c.projections)),
		published: make(map[string]consumer.Spec),
		offered:   make(map[string]consumer.Spec),
	}
	for i := range c.kinds {
		if c.kinds[i].saga != nil {
			cs.sagas = append(cs.sagas, SagaSubscription(c.kinds[i].name))
		}
	}
	if s.events != nil {
		cs.events = group.Feed(consumer.Events(s.events), s.events)
	}
	if s.states != nil {
		cs.states = group.Feed(consumer.States(s.states), s.states)
	}
	for _, p := range c.projections {
		cs.specs[p.name] = projectionSpec(p, cs.events, cs.opener)
	}
	return cs
}

// projectionSpec describes a projection to the consumers.
func projectionSpec(p registration, feed *consumer.Feed, opener consumer.Opener) consumer.Spec {
	options := p.options.WithDefaults()
	spec := consumer.Spec{
		Name:         p.name,
		Feed:         feed,
		Sink:         consumer.HandlerSink(options.Handler),
		Open:         opener,
		Filter:       options.Filter,
		BatchSize:    options.BatchSize,
		PullInterval: options.PullInterval,
		Parallelism:  options.Parallelism,
		Window:       options.Window,
		Recovery:     options.Recovery,
		StartFrom:    options.StartFrom,
		FromNow:      options.FromNow,
		Erasure:      envelope.IsErasure,
		Traces:       consumer.Processes,
	}
	_, spec.Forgets = options.Handler.(projection.ErasureHandler)
	if options.DeadLetterHandler != nil {
		spec.GaveUp = func(ctx context.Context, letter *egopb.DeadLetter) {
			options.DeadLetterHandler(ctx, openLetter(ctx, letter, opener))
		}
	}
	return spec
}

// opener opens events for consumers. What was erased opens to nothing; a key that cannot be had is not the event's fault.
func opener(codec *envelope.Codec) consumer.Opener {
	return consumer.OpenerFunc(func(ctx context.Context, stored *egopb.Event) ([]*projection.Event, error) {
		if saga.IsRecord(stored) {
			return nil, nil // ego's own
		}
		return passErased(codec.Open(ctx, stored))
	})
}

// stateOpener opens the changes of durable states for consumers, under the rules of opener.
func stateOpener(codec *envelope.Codec) consumer.Opener {
	return consumer.OpenerFunc(func(ctx context.Context, stored *egopb.Event) ([]*projection.Event, error) {
		return passErased(codec.OpenChange(ctx, consumer.StateOf(stored)))
	})
}

func passErased(events []*projection.Event, err error) ([]*projection.Event, error) {
	if errors.Is(err, encryption.ErrErased) {
		return nil, nil
	}
	if _, transient := errors.AsType[*envelope.KeyError](err); transient {
		return nil, consumer.Unavailable(err)
	}
	return events, err
}

// committed wakes the consumers of events. It is called within every write.
func (c *consumers) committed() func(events []*egopb.Event) {
	if c == nil || c.events == nil {
		return nil
	}
	return c.events.Committed
}

// wakeOnWrites returns the state store as entities use it: writes wake the consumers of states.
func (c *consumers) wakeOnWrites(store persistence.StateStore) persistence.StateStore {
	if c == nil || c.states == nil {
		return store
	}
	return &wakingStates{StateStore: store, feed: c.states}
}

type wakingStates struct {
	persistence.StateStore
	feed *consumer.Feed
}

// WriteState writes a state and wakes the consumers of states.
func (s *wakingStates) WriteState(ctx context.Context, state *egopb.DurableState) error {
	err := s.StateStore.WriteState(ctx, state)
	if err == nil {
		s.feed.CommittedEntity(state.GetPersistenceId())
	}
	return err
}

// unread returns the position in the shard of an entity up to which all registered consumers of events have come. It is false
// when there are none.
func (c *consumers) unread(ctx context.Context, persistenceID string) (above uint64, ok bool, err error) {
	if c == nil {
		return 0, false, nil
	}
	names := append(c.readers(), c.sagas...)
	if len(names) == 0 {
		return 0, false, nil
	}
	above, err = c.group.Lowest(ctx, c.events.ShardOf(persistenceID), names...)
	return above, true, err
}

// forget gives up the dead letters of an entity whose journal and whose states ended with these numbers, zero for none.
func (c *consumers) forget(ctx context.Context, persistenceID string, event, state uint64) error {
	if c == nil {
		return nil
	}
	specs := slices.Collect(maps.Values(c.specs))
	c.mu.RLock()
	specs = slices.AppendSeq(slices.AppendSeq(specs, maps.Values(c.published)), maps.Values(c.offered))
	c.mu.RUnlock()
	var problems []error
	for i := range specs {
		end := event
		if specs[i].Feed == c.states {
			end = state
		}
		if end == 0 {
			continue
		}
		if err := c.group.ForgetLetters(ctx, specs[i], persistenceID, end); err != nil && !errors.Is(err, consumer.ErrNoLetters) {
			problems = append(problems, lettersError(specs[i].Name, err))
		}
	}
	return errors.Join(problems...)
}

func (c *consumers) stop(ctx context.Context) error {
	if c == nil {
		return nil
	}
	return c.group.Stop(ctx)
}

func (c *consumers) health() error {
	if c == nil {
		return nil
	}
	return c.group.Health()
}

// readers returns the names of all registered consumers of events.
func (c *consumers) readers() []string {
	names := slices.Collect(maps.Keys(c.specs))
	c.mu.RLock()
	defer c.mu.RUnlock()
	for name := range c.published {
		if c.published[name].Feed == c.events {
			names = append(names, name)
		}
	}
	return names
}

// added remembers the description of a publisher.
func (c *consumers) added(spec consumer.Spec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.published[spec.Name] = spec
}

// subscribed remembers the description of what offers events to sagas of a kind.
func (c *consumers) subscribed(spec consumer.Spec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offered[spec.Name] = spec
}

func (c *consumers) removed(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.published, name)
}

// offers reports whether a consumer offers events to the sagas of a kind.
func (c *consumers) offers(name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, ok := c.offered[name]
	return ok
}

// spec returns the description of a registered projection, of a publisher or of what offers events to sagas.
func (c *consumers) spec(name string) (consumer.Spec, error) {
	if c == nil {
		return consumer.Spec{}, ErrProjectionNotRegistered
	}
	spec, ok := c.specs[name]
	if !ok {
		c.mu.RLock()
		if spec, ok = c.published[name]; !ok {
			spec, ok = c.offered[name]
		}
		c.mu.RUnlock()
	}
	if !ok {
		return consumer.Spec{}, ErrProjectionNotRegistered
	}
	return spec, nil
}
