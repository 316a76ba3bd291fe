package entity

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/projection"
)

// The phases of a request. It is taken by the entity or abandoned by its caller, whichever comes first.
const (
	queued int32 = iota
	taken
	answered
	abandoned
)

// A Request is one command, or one question for the state, on its way to an entity and back.
type Request struct {
	ctx      context.Context //nolint:containedctx // the caller's, for the handlers; a request lives as long as the call
	command  proto.Message   // nil asks for the state
	metadata *projection.Metadata

	pool  *sync.Pool
	phase atomic.Int32
	done  chan struct{} // holds one token once the answer is there
	timer *time.Timer   // used by the caller only

	state    proto.Message // the caller's own copy
	revision uint64
	err      error

	Next *Request // in the queue of the entity
}

// Requests makes requests and uses them again. The zero value is ready. An engine has its own, so that no channel or timer
// wanders from one engine to another, which may live in another bubble of testing/synctest.
type Requests struct {
	pool sync.Pool
}

// New returns a request for a command, or for the state when command is nil. The entity owns the command from now on. The
// metadata may be nil.
func (p *Requests) New(ctx context.Context, command proto.Message, metadata *projection.Metadata) *Request {
	r, ok := p.pool.Get().(*Request)
	if !ok {
		r = &Request{pool: &p.pool, done: make(chan struct{}, 1)}
	}
	r.ctx, r.command, r.metadata = ctx, command, metadata
	return r
}

// Expire returns the channel of a timer that the request keeps.
func (r *Request) Expire(after time.Duration) <-chan time.Time {
	if r.timer == nil {
		r.timer = time.NewTimer(after)
	} else {
		r.timer.Reset(after)
	}
	return r.timer.C
}

// Done holds a token once the answer is there. Whoever takes it must call Answer.
func (r *Request) Done() <-chan struct{} { return r.done }

// Answered reports whether the answer is there.
func (r *Request) Answered() bool { return r.phase.Load() == answered }

// Answer returns the outcome and gives the request back.
func (r *Request) Answer() (proto.Message, uint64, error) {
	state, revision, err := r.state, r.revision, r.err
	r.ctx, r.command, r.metadata, r.state, r.revision, r.err, r.Next = nil, nil, nil, nil, 0, nil, nil
	r.phase.Store(queued)
	r.stopTimer()
	r.pool.Put(r)
	return state, revision, err
}

// Abandonment says what a caller that gives up leaves behind.
type Abandonment int

const (
	// NeverRan says that the command was not begun and never will be.
	NeverRan Abandonment = iota
	// MayTakeEffect says that the entity is at work on the command, or has even finished it.
	MayTakeEffect
	// HasAnswer says that the answer was just there: receive from Done and call Answer.
	HasAnswer
)

// Abandon gives the request up. Unless it has an answer, the caller must not touch it again.
func (r *Request) Abandon() Abandonment {
	r.stopTimer()
	switch r.phase.Swap(abandoned) {
	case answered:
		return HasAnswer
	case taken:
		return MayTakeEffect
	default:
		return NeverRan
	}
}

func (r *Request) stopTimer() {
	if r.timer != nil {
		r.timer.Stop()
	}
}

// Fail answers a request that no entity has taken.
func (r *Request) Fail(err error) {
	if r.take() {
		r.fail(err)
	}
}

// Abandoned reports whether the caller has given up.
func (r *Request) Abandoned() bool { return r.phase.Load() == abandoned }

// take makes the request the entity's. It is false when the caller has given up.
func (r *Request) take() bool { return r.phase.CompareAndSwap(queued, taken) }

func (r *Request) fail(err error) {
	r.state, r.revision, r.err = nil, 0, err
	r.deliver()
}

// deliver hands the answer over, unless nobody waits for it any more.
func (r *Request) deliver() {
	if r.phase.Swap(answered) != abandoned {
		r.done <- struct{}{}
	}
}

// commandID is the id under which the command was sent; empty when it had none.
func (r *Request) commandID() string {
	if r.metadata == nil {
		return ""
	}
	return r.metadata.CommandID
}
