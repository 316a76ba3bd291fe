package persistence

import (
	"context"
	"iter"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// Store is what all stores have in common.
type Store interface {
	// Connect makes the store ready. It is idempotent. It must fail, rather than wait for ever, when the backend does
	// not answer, and with [ShardCountError] when the shard count differs from the stored one.
	Connect(ctx context.Context) error

	// Disconnect releases what the store itself opened, and nothing that it was given. It is idempotent.
	Disconnect(ctx context.Context) error

	// Ping returns nil when the backend answers.
	Ping(ctx context.Context) error
}

// EventsStore keeps the journals of event-sourced entities.
type EventsStore interface {
	Store

	// WriteEvents stores events of any number of entities, all or nothing, and assigns their shards and positions. Within
	// the slice the events of one entity are in order and continue its stored ones without a gap; anything else is a
	// [ConflictError] for the first such entity. Positions follow the order of the slice within each shard. An empty slice
	// does nothing. A nil event, an empty persistence id, a sequence number of zero or a tombstone is an
	// [InvalidRecordError].
	WriteEvents(ctx context.Context, events []*egopb.Event) error

	// ReplayEvents streams the events of an entity numbered from to to, both inclusive, in order, without those that were
	// deleted. It must use bounded memory. Breaking out of the loop releases its resources. After an error it ends.
	ReplayEvents(ctx context.Context, persistenceID string, from, to uint64) iter.Seq2[*egopb.Event, error]

	// GetLatestEvent returns the event with the highest number ever stored for the entity. When that event was deleted,
	// it is a tombstone: Deleted is set and the payload is absent. It is nil for an unknown entity.
	GetLatestEvent(ctx context.Context, persistenceID string) (*egopb.Event, error)

	// DeleteEvents deletes the events of an entity up to and including a number. What remains of each is a tombstone that
	// keeps its number and position taken, so numbers are never used again, a stale writer is still refused, and readers
	// of the shard can still prove that they missed nothing. A tombstone keeps the kind, may keep the time, and has nothing
	// else of the event. Deleting what does not exist does nothing.
	DeleteEvents(ctx context.Context, persistenceID string, toSequenceNumber uint64) error

	// PersistenceIDs lists the entities that have events or tombstones, in byte order, a page at a time. The first page
	// has the empty token; an empty next token means that there are no more. A page size below one is
	// [ErrInvalidArgument].
	PersistenceIDs(ctx context.Context, pageSize int, pageToken string) (ids []string, nextPageToken string, err error)

	// GetShardEvents returns at most limit events of a shard with positions above afterPosition, in order and without a
	// gap, tombstones included. A limit below one, or a shard that does not exist, is [ErrInvalidArgument].
	GetShardEvents(ctx context.Context, shard uint32, afterPosition uint64, limit int) ([]*egopb.Event, error)

	// ShardPositions returns the highest position of every shard that has one.
	ShardPositions(ctx context.Context) (map[uint32]uint64, error)

	// ShardCount returns the number of shards. It never changes and needs no connection.
	ShardCount() uint32
}

// A Notifier is a store that can tell of commits by other processes. Notifications are hints: losing one costs time and
// never an event, as consumers poll as well.
type Notifier interface {
	// Listen calls wake soon after other processes, or this one, have committed events or states, possibly once for many
	// commits, until the context ends or the backend is lost, and returns why. Wake returns at once and may be called
	// without cause.
	Listen(ctx context.Context, wake func()) error
}

// SnapshotStore keeps snapshots of event-sourced entities.
type SnapshotStore interface {
	Store

	// WriteSnapshot stores a snapshot. One with the same number of the same entity is replaced.
	WriteSnapshot(ctx context.Context, snapshot *egopb.Snapshot) error

	// GetLatestSnapshot returns the snapshot of an entity with the highest number, or nil when there is none.
	GetLatestSnapshot(ctx context.Context, persistenceID string) (*egopb.Snapshot, error)

	// GetSnapshot returns the snapshot with the highest number that is not above maxSequenceNumber, or nil.
	GetSnapshot(ctx context.Context, persistenceID string, maxSequenceNumber uint64) (*egopb.Snapshot, error)

	// DeleteSnapshots deletes the snapshots of an entity up to and including a number.
	DeleteSnapshots(ctx context.Context, persistenceID string, toSequenceNumber uint64) error
}

// StateStore keeps the latest state of durable-state entities.
type StateStore interface {
	Store

	// WriteState stores a state by compare-and-set: its revision must be the stored revision + 1, counting from zero for
	// an unknown entity, else it is a [ConflictError]. The change gets the next position of its shard; the position of
	// the revision it replaces disappears. An empty persistence id, a revision of zero or a tombstone is an
	// [InvalidRecordError].
	WriteState(ctx context.Context, state *egopb.DurableState) error

	// GetLatestState returns the latest state of an entity, nil when it is unknown. After DeleteState it is a tombstone:
	// Deleted is set and the state is absent.
	GetLatestState(ctx context.Context, persistenceID string) (*egopb.DurableState, error)

	// DeleteState replaces the state of an entity with a tombstone at the next revision and the next position, so a
	// writer that knew the deleted state is refused. A tombstone keeps the kind and nothing else of the state. Deleting an
	// unknown or already deleted state does nothing.
	DeleteState(ctx context.Context, persistenceID string) error

	// GetShardStates returns at most limit latest states of a shard with positions above afterPosition, in order,
	// tombstones included. Positions of superseded revisions are missing from it; they become visible in order all the
	// same. A limit below one, or a shard that does not exist, is [ErrInvalidArgument].
	GetShardStates(ctx context.Context, shard uint32, afterPosition uint64, limit int) ([]*egopb.DurableState, error)

	// ShardStatePositions returns the highest position of every shard that has one.
	ShardStatePositions(ctx context.Context) (map[uint32]uint64, error)

	// ShardCount returns the number of shards. It never changes and needs no connection.
	ShardCount() uint32
}

// TimerStore keeps durable timers. A timer is named by its owner and its name. It stays until it is canceled or
// completed: one that was claimed and not completed is handed out again after its claim has expired, so each fires at
// least once.
type TimerStore interface {
	Store

	// ScheduleTimers sets timers, all or nothing. One with the same owner and name is replaced: it gets the next version,
	// and a claim on the old one no longer counts. A timer that is scheduled after one of that name was canceled or
	// completed has a version that none of that name had before. An empty owner or name is an [InvalidRecordError].
	ScheduleTimers(ctx context.Context, timers []*egopb.Timer) error

	// CancelTimers removes the named timers of an owner, or all of them when no name is given. Unknown names are passed
	// over.
	CancelTimers(ctx context.Context, owner string, names ...string) error

	// ClaimTimers hands out at most limit timers that are due at now and not claimed, earliest first, and claims them for
	// the given time, measured by the clock of the store. Each is handed to one claimer. A limit below one or a claim of
	// no length is [ErrInvalidArgument].
	ClaimTimers(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error)

	// CompleteTimer removes a timer that has fired, unless it was scheduled anew since the version given was claimed.
	CompleteTimer(ctx context.Context, owner, name string, version uint64) error

	// OwnerTimers returns the timers of an owner, claimed or not, in order of their due times.
	OwnerTimers(ctx context.Context, owner string) ([]*egopb.Timer, error)

	// NextTimer returns the earliest due time of all timers, and false when there are none.
	NextTimer(ctx context.Context) (due time.Time, ok bool, err error)
}
