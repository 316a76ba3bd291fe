package kafka

import (
	"context"
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/actorkeep/ego/publisher"
)

// batchOverhead is what a batch has besides its records, with room to spare.
const batchOverhead = 128

// An entry is a record on its way.
type entry struct {
	record *kgo.Record
	size   int
	err    error
}

// sizeOf is at least what a record takes in a batch: its parts, each with a length of at most five bytes.
func sizeOf(r *kgo.Record) int {
	size := 40 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += 10 + len(h.Key) + len(h.Value)
	}
	return size
}

// rounds sends what callers bring, one round after the other. While one is under way, the next gathers.
type rounds struct {
	send  func(round []*entry)
	limit int // bytes of a round

	mu      sync.Mutex
	waiting []*request
	running sync.WaitGroup
	busy    bool
}

// A request is what one call brings.
type request struct {
	left   []*entry // not sent yet
	failed []error
	done   chan struct{}
}

// join has entries sent and returns once all are taken or refused, or with the context.
func (r *rounds) join(ctx context.Context, entries []*entry) error {
	if len(entries) == 0 {
		return nil
	}
	q := &request{left: entries, done: make(chan struct{})}
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

// run sends rounds until nobody waits.
func (r *rounds) run() {
	for {
		r.mu.Lock()
		round, of := r.next()
		if len(round) == 0 {
			r.busy = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		r.send(round)
		r.settle(round, of)
	}
}

// next takes a round from those that wait, in order. The lock is held.
func (r *rounds) next() (round []*entry, of []*request) {
	size := 0
	for _, q := range r.waiting {
		for _, e := range q.left {
			if size += e.size; size > r.limit && len(round) > 0 {
				return round, of
			}
			round, of = append(round, e), append(of, q)
		}
	}
	return round, of
}

// settle takes what a round has come to. A request in which something failed ends: what it had behind that is not sent.
func (r *rounds) settle(round []*entry, of []*request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range round {
		q := of[i]
		q.left = q.left[1:]
		if e.err != nil {
			q.failed = append(q.failed, e.err)
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

// wait returns when nothing is under way.
func (r *rounds) wait() { r.running.Wait() }
