package publisher

import (
	"context"

	"github.com/actorkeep/ego/egopb"
)

// An EventPublisher hands events to a broker. Its methods are safe for concurrent use: the shards of the journal are
// published side by side, the events of one entity never.
type EventPublisher interface {
	// ID names the publisher. What it has published is remembered under the ID, so it never changes, and every process
	// that shares the work uses the same. It is not empty and has at most 255 bytes.
	ID() string

	// Publish returns nil once the broker has taken the event for good, and before or with the end of the context. The
	// event is in the clear: its payload is opened and adapted. It must not be modified, nor kept after Publish has
	// returned. [Reject] and [Unavailable] tell what an error means; package publisher says what follows of each.
	Publish(ctx context.Context, event *egopb.Event) error

	// Close gives up what the publisher holds. It may be called again, and does not interrupt calls that are under way
	// before the context ends. Publish fails afterwards.
	Close(ctx context.Context) error
}

// A StatePublisher hands the latest states of durable-state entities to a broker, under the rules of [EventPublisher]. A
// state that was replaced before it was published is left out; the latest never is.
type StatePublisher interface {
	ID() string
	Publish(ctx context.Context, state *egopb.DurableState) error
	Close(ctx context.Context) error
}

// A SystemNamer is a publisher that says what it publishes to, as the semantic conventions of OpenTelemetry name messaging systems:
// "kafka", "pulsar", or a name of its own. Traces carry it as messaging.system; without it that is "ego".
type SystemNamer interface {
	MessagingSystem() string
}

// An EventBatchPublisher is an [EventPublisher] that prefers many events at once. They are events of one shard in order. No
// event may arrive before an earlier one of its entity, also when one of them fails: what comes after it must then not be
// sent, or the broker must refuse it. After an error all events are offered to Publish one by one; those that had arrived
// arrive twice.
type EventBatchPublisher interface {
	EventPublisher
	PublishBatch(ctx context.Context, events []*egopb.Event) error
}

// A StateBatchPublisher is a [StatePublisher] that prefers many states at once, under the rules of [EventBatchPublisher].
type StateBatchPublisher interface {
	StatePublisher
	PublishBatch(ctx context.Context, states []*egopb.DurableState) error
}
