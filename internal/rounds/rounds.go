package rounds

import (
	"context"
	"errors"
	"sync"

	"github.com/actorkeep/ego/publisher"
)

// An Entry is a message on its way.
type Entry[M any] struct {
	Message M
	Context context.Context //nolint:containedctx // of the call that brought it, which ends with it
	Size    int
	Err     error // what its round has come to
}

// Rounds sends what callers bring, one round after the other. While one is under way, the next gathers.
type Rounds[M any] struct {
	// Send sends a round and sets the errors of its entries. It returns when each is taken, refused, or its context has
	// ended.
	Send func(round []*Entry[M])

	// Bytes and Count bound a round: the sum of sizes, and the number of entries. An entry that is larger by itself has a
	// round of its own. Zero is no bound.
	Bytes, Count int

	mu      sync.Mutex
	waiting []*request[M]
	running sync.WaitGroup
	busy    bool
}

// A request is what one call brings.
type request[M any] struct {
	left   []*Entry[M] // not sent yet
	failed []error
	done   chan struct{}
}

// Join has entries sent and returns once all are taken or refused, or with the context. After an error the rest of the call is
// not sent.
func (r *Rounds[M]) Join(ctx context.Context, entries []*Entry[M]) error {
	if len(entries) == 0 {
		return nil
	}
	q := &request[M]{left: entries, done: make(chan struct{})}
	r.mu.Lock()
	r.waiting = append(r.waiting, q)
	if !r.busy {
		r.busy = true
		r.running.Go(r.run)
	}
	r.mu.Unlock()
	select {
	case <-q.done:
		return errors.Join(q.failed...)
	case <-ctx.Done():
		return publisher.Unavailable(ctx.Err())
	}
}

// Wait returns when nothing is under way.
func (r *Rounds[M]) Wait() { r.running.Wait() }

// run sends rounds until nobody waits.
func (r *Rounds[M]) run() {
	for {
		r.mu.Lock()
		round, of := r.next()
		if len(round) == 0 {
			r.busy = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		r.Send(round)
		r.settle(round, of)
	}
}

// next takes a round from those that wait, in order. The lock is held.
func (r *Rounds[M]) next() (round []*Entry[M], of []*request[M]) {
	size := 0
	for _, q := range r.waiting {
		for _, e := range q.left {
			size += e.Size
			if len(round) > 0 && (r.Bytes > 0 && size > r.Bytes || r.Count > 0 && len(round) == r.Count) {
				return round, of
			}
			round, of = append(round, e), append(of, q)
		}
	}
	return round, of
}

// settle takes what a round has come to. A request in which something failed ends: what it had behind that is not sent.
func (r *Rounds[M]) settle(round []*Entry[M], of []*request[M]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range round {
		q := of[i]
		q.left = q.left[1:]
		if e.Err != nil {
			q.failed = append(q.failed, e.Err)
		}
	}
	kept := r.waiting[:0]
	for _, q := range r.waiting {
		if len(q.left) > 0 && len(q.failed) == 0 {
			kept = append(kept, q)
			continue
		}
		close(q.done)
	}
	clear(r.waiting[len(kept):])
	r.waiting = kept
}
