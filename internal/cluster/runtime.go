package cluster

import (
	"context"
	"errors"

	"github.com/actorkeep/ego/egopb"
)

// ErrGone reports a batch for a run of a node that has ended: nothing listens at its address, or another run does. The
// batch was not delivered.
var ErrGone = errors.New("cluster: that run of the node has ended")

// ErrNotDelivered is matched by an error of [Session.Send] that proves that the batch was not delivered. [ErrGone] is one
// that will stay so.
var ErrNotDelivered = errors.New("cluster: not delivered")

// A Runtime joins clusters.
type Runtime interface {
	// Join becomes a member under an epoch that no run of a node has had. It calls receive with every batch that arrives,
	// one at a time. Receive returns at once.
	Join(ctx context.Context, epoch string, receive func(*egopb.ClusterBatch)) (Session, error)
}

// A Session is a membership.
type Session interface {
	// Self is this node as the others know it.
	Self() Member
	// Peers returns the other live members.
	Peers(ctx context.Context) ([]Member, error)
	// Send delivers a batch. Without an error it has arrived. After an error that does not match [ErrGone] or
	// [ErrNotDelivered] nobody knows. It returns soon after its context has ended.
	Send(ctx context.Context, to ID, batch *egopb.ClusterBatch) error
	// Forget lets go of what is kept for sending to a run that is no longer a member. Something may be sent to it all the same.
	Forget(id ID)
	// Leave ends the membership and returns when nothing of it is left, or when the context ends.
	Leave(ctx context.Context) error
}
