// Package offsetstore is the contract for what consumers of the journal remember: who may work on a shard, how far it has
// come, and which events it has set aside.
//
// # The lease protocol
//
// A consumer is a projection, a publisher or a saga subscription, known by its name. Each of its shards has at most one
// owner at a time. A worker becomes the owner by [OffsetStore.AcquireLeases]: it gets a shard that nobody holds, or whose
// lease has expired, under an epoch that is higher than every epoch of that shard before. It keeps the shard by renewing
// the lease before it expires, and commits offsets under its epoch. A store must refuse a commit, a renewal and a parking
// whose epoch is not the current one, in the same transaction that would write: a worker that was paused for longer than
// its lease can then do no harm, whatever it believes. Expiry is measured by the clock of the store, never by the clocks
// of the workers, and it only decides when a shard may be taken over; what keeps two owners apart is the epoch.
//
// # Dead letters
//
// A [DeadLetterStore] keeps the events that a consumer has set aside, each under its consumer, shard and position, until they are
// retried or discarded. Parking is fenced like a commit: only the owner of the shard may do it.
//
// # Errors
//
// A call of an owner that has been overtaken, or has released the lease, is a [StaleLeaseError] and has stored nothing: the
// worker gives the shard up. An empty name, a time of no length and an offset that goes back without [OffsetStore.ResetOffsets]
// are persistence.ErrInvalidArgument. What package persistence says that every store must do, and say of errors, holds here
// as well.
package offsetstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// ErrStaleLease is matched by every [StaleLeaseError].
var ErrStaleLease = errors.New("offsetstore: lease is no longer held")

// A StaleLeaseError reports that the shard of a consumer has been taken over, or its lease released. Nothing of the call
// was stored. It matches [ErrStaleLease].
type StaleLeaseError struct {
	Consumer string
	Shard    uint32
	Epoch    uint64 // epoch of the refused call
	Current  uint64 // current epoch of the shard
}

func (e *StaleLeaseError) Error() string {
	return fmt.Sprintf("offsetstore: lease of consumer %q on shard %d is stale: epoch %d, current %d",
		e.Consumer, e.Shard, e.Epoch, e.Current)
}

// Is reports whether target is [ErrStaleLease].
func (e *StaleLeaseError) Is(target error) bool { return target == ErrStaleLease }

// A Lease is the right of one owner to work on one shard of a consumer.
type Lease struct {
	Consumer string
	Shard    uint32
	Owner    string        // names the worker; empty when the lease was released
	Epoch    uint64        // grows with every change of hands
	Expires  time.Duration // time left, by the clock of the store, when it was returned; not above zero when expired
}

// OffsetStore keeps leases and offsets.
type OffsetStore interface {
	Connect(ctx context.Context) error
	Disconnect(ctx context.Context) error
	Ping(ctx context.Context) error

	// AcquireLeases tries to become the owner of each shard and returns the leases it got. A shard is free when it was
	// never leased, was released, or its lease has expired. A lease that the same owner still holds is extended under
	// its epoch. An empty consumer or owner or a ttl of no length is persistence.ErrInvalidArgument.
	AcquireLeases(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]Lease, error)

	// RenewLeases extends leases and returns those that are still held under their epoch. An expired lease that nobody
	// took over is still held.
	RenewLeases(ctx context.Context, leases []Lease, ttl time.Duration) ([]Lease, error)

	// ReleaseLeases gives leases back. Those that are no longer held are passed over.
	ReleaseLeases(ctx context.Context, leases []Lease) error

	// Leases returns the leases of a consumer that were ever taken, in order of their shards, released and expired ones
	// included.
	Leases(ctx context.Context, consumer string) ([]Lease, error)

	// CommitOffset records that everything up to and including a position is done. It is refused with [StaleLeaseError]
	// unless the epoch of the lease is the current one and the lease was not released. A position below the stored one
	// is persistence.ErrInvalidArgument: offsets only go back by ResetOffsets.
	CommitOffset(ctx context.Context, lease Lease, position uint64) error

	// Offsets returns the offsets of a consumer, in order of their shards. A shard without a commit has none.
	Offsets(ctx context.Context, consumer string) ([]*egopb.Offset, error)

	// ResetOffsets sets the offsets of the shards given, forward or back, and ends the current leases of those shards by
	// raising their epochs, so that no commit of an owner from before the reset can undo it. A store that keeps dead letters
	// too forgets those of the consumer in these shards above the new positions, as their events are delivered again. All
	// of it happens, or nothing.
	ResetOffsets(ctx context.Context, consumer string, positions map[uint32]uint64) error

	// DeleteConsumer forgets leases, offsets and dead letters of a consumer. It does not forget how high epochs were: a
	// lease from before stays stale, whoever owns the shard next.
	DeleteConsumer(ctx context.Context, consumer string) error
}

// DeadLetterStore keeps the events that a consumer has set aside. A dead letter is named by its consumer, shard and
// position; writing it again replaces it.
type DeadLetterStore interface {
	// ParkEvents stores dead letters of the lease's consumer and shard, all or nothing. It is refused with
	// [StaleLeaseError] as CommitOffset is.
	ParkEvents(ctx context.Context, lease Lease, letters []*egopb.DeadLetter) error

	// DeadLetters streams the dead letters of a consumer by shard and position: those of the entities given, or all.
	DeadLetters(ctx context.Context, consumer string, persistenceIDs ...string) iter.Seq2[*egopb.DeadLetter, error]

	// ParkedEntities returns the entities of a shard that have dead letters of the consumer, in byte order.
	ParkedEntities(ctx context.Context, consumer string, shard uint32) ([]string, error)

	// DeleteDeadLetters removes the dead letters of a consumer in a shard at the positions given.
	DeleteDeadLetters(ctx context.Context, consumer string, shard uint32, positions ...uint64) error
}
