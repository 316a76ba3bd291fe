package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/actorkeep/ego/egopb"
)

const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 200 * time.Millisecond
)

// ErrAgain is matched by an error of a call at this node that had no effect and may succeed soon, here or elsewhere.
var ErrAgain = errors.New("cluster: again")

// A GaveUpError reports a call whose context ended before it had an outcome.
type GaveUpError struct {
	Err           error // of the context
	Last          error // why the newest attempt failed; nil when none did
	MayTakeEffect bool
}

func (e *GaveUpError) Error() string {
	if e.Last == nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v: %v", e.Err, e.Last)
}

// Unwrap returns both errors.
func (e *GaveUpError) Unwrap() []error {
	if e.Last == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Last}
}

// An InDoubtError reports a call that may have taken effect at a node that is gone, and that may not be repeated.
type InDoubtError struct{ Err error }

func (e *InDoubtError) Error() string { return e.Err.Error() }
func (e *InDoubtError) Unwrap() error { return e.Err }

// A Call is what is asked of an entity, wherever it is.
type Call struct {
	EntityID   string
	Repeatable bool // it may be handled twice
	// Local makes the call at this node. An error that matches [ErrAgain] lets it be tried again.
	Local func(ctx context.Context) error
	// Request makes the call for another node, anew for every attempt.
	Request func() (*egopb.ClusterRequest, error)
}

// Do makes a call where the entity lives, and elsewhere when it moves, until it has an outcome or the context ends. The
// reply is nil when the call was made at this node.
func (n *Node) Do(ctx context.Context, c *Call) (*egopb.ClusterReply, error) {
	var last error
	doubt := false
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		p := n.current.Load()
		reply, err := n.attempt(ctx, p, c)
		if err == nil {
			return reply, nil
		}
		var lost *inDoubt
		var safe *undelivered
		switch {
		case errors.As(err, &lost):
			if !c.Repeatable && ctx.Err() == nil {
				return nil, &InDoubtError{lost.err}
			}
			doubt = true
		case errors.As(err, &safe), errors.Is(err, ErrAgain):
		default:
			return nil, err
		}
		if ctx.Err() == nil {
			last = err
			n.retried(err, doubt)
		}
		if !pause(ctx, p, err, retry) {
			return nil, &GaveUpError{Err: ctx.Err(), Last: last, MayTakeEffect: doubt}
		}
	}
}

// retried tells why a call is made again.
func (n *Node) retried(err error, doubt bool) {
	if n.config.Retried == nil {
		return
	}
	switch {
	case errors.Is(err, ErrNoQuorum):
		n.config.Retried("no_quorum")
	case errors.Is(err, ErrAgain):
		n.config.Retried("conflict")
	case doubt:
		n.config.Retried("in_doubt")
	default:
		n.config.Retried("moved")
	}
}

// attempt makes a call once.
func (n *Node) attempt(ctx context.Context, p *placement, c *Call) (*egopb.ClusterReply, error) {
	owner, err := p.owner(c.EntityID)
	if err != nil {
		return nil, &undelivered{err}
	}
	if owner == p.view.Self {
		return nil, c.Local(ctx)
	}
	m := n.membership.Load()
	if m == nil {
		return nil, &undelivered{ErrNoQuorum}
	}
	l := m.link(owner)
	if l == nil {
		return nil, &undelivered{ErrNoQuorum}
	}
	request, err := c.Request()
	if err != nil {
		return nil, err
	}
	ended := n.asked(ctx, owner, request)
	reply, err := l.ask(ctx, request)
	ended(reply, err)
	switch {
	case err != nil:
		return nil, err
	case reply.GetMoved():
		return nil, &undelivered{fmt.Errorf("cluster: node %s does not own the entity", owner.Address())}
	}
	return reply, nil
}

// asked tells of a request that goes to another node.
func (n *Node) asked(ctx context.Context, owner ID, request *egopb.ClusterRequest) func(*egopb.ClusterReply, error) {
	if n.config.Asked == nil {
		return func(*egopb.ClusterReply, error) {}
	}
	return n.config.Asked(ctx, owner.Address(), request)
}

// serve answers a request of another node. It is tried again while it has no effect and this node owns the entity.
func (n *Node) serve(ctx context.Context, request *egopb.ClusterRequest) *egopb.ClusterReply {
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		p := n.current.Load()
		if !p.owns(request.GetEntityId()) {
			return &egopb.ClusterReply{Moved: true}
		}
		reply, err := n.config.Serve(ctx, request)
		if !errors.Is(err, ErrAgain) || !pause(ctx, p, err, retry) {
			return reply
		}
	}
}

// pause waits before the next attempt. It is false when the context ends first.
func pause(ctx context.Context, p *placement, err error, retry time.Duration) bool {
	var wait <-chan time.Time
	if !errors.Is(err, ErrNoQuorum) {
		timer := time.NewTimer(retry/2 + rand.N(retry))
		defer timer.Stop()
		wait = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-wait:
	case <-p.changed:
	}
	return ctx.Err() == nil
}
