package ego

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/projection"
)

// sagaDelivery is how many sagas of one shard are offered events side by side.
const sagaDelivery = 64

// sagaConsumers begins the names of the subscriptions of sagas.
const sagaConsumers = "ego.saga/"

// SagaSubscription names what offers events to the sagas of a registered kind, as metrics, logs and [Engine.Health] name it:
// for [Engine.ProjectionStatus], [Engine.ProjectionLag] and [Engine.WaitForProjection], and for [Engine.DeadLetters],
// [Engine.RetryDeadLetters] and [Engine.DiscardDeadLetters]. It runs while the engine does.
func SagaSubscription(kind string) string { return sagaConsumers + kind }

// subscribe runs the consumer that offers events to the sagas of a kind.
func (ss *sagas) subscribe(ctx context.Context, name string, config *sagaConfig) error {
	n := ss.node
	if n.consumers == nil {
		return ErrNoOffsetStore
	}
	if n.consumers.group.Consumer(SagaSubscription(name)) != nil {
		return nil
	}
	if err := ss.placeOffsets(ctx, SagaSubscription(name)); err != nil {
		return err
	}
	recovery := projection.NewRecovery(projection.WithRecoveryPolicy(projection.RetryAndFail))
	if n.letters != nil {
		recovery = projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park))
	}
	spec := consumer.Spec{
		Name:     SagaSubscription(name),
		Feed:     n.consumers.events,
		Sink:     &sagaSink{sagas: ss, name: name, config: config},
		Open:     opener(n.codec),
		Recovery: recovery,
		Erasure:  envelope.IsErasure,
	}
	if _, err := n.consumers.group.Start(ctx, spec); err != nil {
		return err
	}
	n.consumers.subscribed(spec)
	return nil
}

// placeOffsets puts the offsets of a subscription that has none at the heads of the shards, once for all processes: events
// from before a kind of sagas existed are none of its business, and every event from then on is.
func (ss *sagas) placeOffsets(ctx context.Context, name string) error {
	n := ss.node
	offsets := n.consumers.offsets
	for {
		placed, err := offsets.Offsets(ctx, name)
		if err != nil || len(placed) == int(n.events.ShardCount()) {
			return err
		}
		leases, err := offsets.AcquireLeases(ctx, name+"/places", n.shared.WriterID, []uint32{0}, n.config.writeTimeout)
		if err != nil {
			return err
		}
		if len(leases) == 1 {
			return errors.Join(ss.placeMissing(ctx, name), offsets.ReleaseLeases(ctx, leases))
		}
		select { // another process is at it
		case <-time.After(n.config.writeTimeout / 100):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (ss *sagas) placeMissing(ctx context.Context, name string) error {
	heads, err := ss.node.events.ShardPositions(ctx)
	if err != nil {
		return err
	}
	placed, err := ss.node.consumers.offsets.Offsets(ctx, name)
	if err != nil {
		return err
	}
	missing := make(map[uint32]uint64)
	for shard := range ss.node.events.ShardCount() {
		missing[shard] = heads[shard]
	}
	for _, offset := range placed {
		delete(missing, offset.GetShard())
	}
	if len(missing) == 0 {
		return nil
	}
	return ss.node.consumers.offsets.ResetOffsets(ctx, name, missing)
}

// sagaSink offers events to the sagas of a kind.
type sagaSink struct {
	sagas  *sagas
	name   string // of the kind
	config *sagaConfig
}

var (
	_ consumer.Sink      = (*sagaSink)(nil)
	_ consumer.BatchSink = (*sagaSink)(nil)
)

// An offer is an event for a saga.
type offer struct {
	record *consumer.Record
	start  bool
}

// Handle offers one event.
func (s *sagaSink) Handle(ctx context.Context, record *consumer.Record) error {
	return s.HandleBatch(ctx, []*consumer.Record{record})
}

// HandleBatch offers the events of a shard: those of one saga in order, different sagas side by side.
func (s *sagaSink) HandleBatch(ctx context.Context, records []*consumer.Record) error {
	offers := make(map[string][]offer)
	running, err := s.running(ctx)
	if err != nil {
		return consumer.Unavailable(err)
	}
	for _, record := range records {
		targets, err := s.targets(ctx, record, running)
		if err != nil {
			return err
		}
		for id, start := range targets {
			offers[id] = append(offers[id], offer{record, start})
		}
	}
	var (
		group    sync.WaitGroup
		mu       sync.Mutex
		problems []error
		slots    = make(chan struct{}, sagaDelivery)
	)
	for id, list := range offers {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := s.offer(ctx, id, list); err != nil {
				mu.Lock()
				defer mu.Unlock()
				problems = append(problems, err)
			}
		})
	}
	group.Wait()
	return worstOffer(problems)
}

// worstOffer returns an error that is nobody's fault before one that is the event's: what can be tried again is tried again
// until only what cannot is left.
func worstOffer(problems []error) error {
	for _, err := range problems {
		if !isPoison(err) {
			return consumer.Unavailable(err)
		}
	}
	return errors.Join(problems...)
}

// running returns the running sagas of a kind that see every event.
func (s *sagaSink) running(ctx context.Context) ([]string, error) {
	if s.config.correlate != nil {
		return nil, nil
	}
	rows, err := s.sagas.node.timers.OwnerTimers(ctx, saga.IndexOwner(s.name))
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.GetName()
	}
	return ids, nil
}

// targets returns the sagas that an event concerns, and whether it starts them.
func (s *sagaSink) targets(ctx context.Context, record *consumer.Record, running []string) (map[string]bool, error) {
	targets := make(map[string]bool)
	for _, id := range running {
		targets[id] = false
	}
	for _, event := range record.Opened {
		if id := event.Metadata.CorrelationID; checkSagaID(id) == nil {
			concerned, err := s.concerns(ctx, id)
			if err != nil {
				return nil, consumer.Unavailable(err)
			}
			if concerned {
				targets[id] = false
			}
		}
		if s.config.correlate == nil {
			continue
		}
		if id, ok := s.config.correlate(event); ok {
			if err := checkSagaID(id); err != nil {
				return nil, fmt.Errorf("ego: saga %q: %w", id, err)
			}
			targets[id] = true
		}
	}
	for id := range targets {
		if record.Stored.GetPersistenceId() == saga.Prefix+id {
			delete(targets, id) // its own event
		}
	}
	return targets, nil
}

// concerns reports whether a correlation id is a saga of the kind that has not finished.
func (s *sagaSink) concerns(ctx context.Context, id string) (bool, error) {
	n := s.sagas.node
	if cell := n.host.Cell(saga.Prefix + id); cell != nil {
		if kind, live := cell.Live(); live {
			return kind == s.name, nil
		}
	}
	latest, err := n.events.GetLatestEvent(ctx, saga.Prefix+id)
	if err != nil || latest == nil {
		return false, err
	}
	return latest.GetKind() == s.name && !saga.IsEnd(latest) && !envelope.IsErasure(latest), nil
}

// offer brings events to a saga, in order.
func (s *sagaSink) offer(ctx context.Context, id string, list []offer) error {
	n := s.sagas.node
	for _, o := range list {
		input := newOffer(s.name, s.config, o.record.Stored, o.record.Opened, o.start)
		input.Late = o.record.Late
		err := s.sagas.bring(telemetry.Continue(ctx, o.record.Stored.GetTrace()), saga.Prefix+id, input, inputTimeout)
		if errors.Is(err, saga.ErrNotStarted) || errors.Is(err, ErrEntityNotFound) || errors.Is(err, ErrErased) {
			continue
		}
		if err != nil {
			n.config.logger.WarnContext(ctx, "an event cannot be brought to a saga", "saga", id, "kind", s.name, "error", err)
			return fmt.Errorf("ego: saga %q: %w", id, err)
		}
	}
	return nil
}

// newOffer returns the input that offers an event to a saga of a kind.
func newOffer(kind string, config *sagaConfig, stored *egopb.Event, opened []*projection.Event, start bool) *saga.EventInput {
	input := saga.NewEvent(stored, opened, start)
	input.Kind = kind
	if start {
		input.Timeout = config.timeout
	}
	return input
}

// prepare makes it known what a saga is that an event may start. Only sagas of a registered kind are started by events.
func (ss *sagas) prepare(pid, kindName string) error {
	n := ss.node
	kind := n.kinds.byName[kindName]
	if kind == nil || n.spawned.get(pid) != nil {
		return nil
	}
	built, err := kind.build(pid[len(saga.Prefix):])
	if err != nil {
		return err
	}
	n.spawned.add(pid, &spawn{kind: kind.name, behavior: built, config: n.config.entities, saga: kind.saga, rebuilt: true})
	return nil
}

// isPoison reports whether an event can never be brought to a saga as things are: the saga is broken, and not the store.
func isPoison(err error) bool {
	var (
		refusal *entity.Refusal
		refused *CommandError // by another node
		decode  *envelope.DecodeError
	)
	return errors.As(err, &refusal) || errors.As(err, &refused) || errors.As(err, &decode) || errors.Is(err, ErrKindMismatch) ||
		errors.Is(err, ErrInvalidBehavior) || errors.Is(err, ErrInvalidEntityID) || errors.Is(err, ErrUndefinedEntityID)
}
