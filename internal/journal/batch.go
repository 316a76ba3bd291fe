package journal

import (
	"errors"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A batch is the appends of one write of the background writer. Its memory is used again for the next.
type batch struct {
	tickets []*ticket
	bytes   int
	started time.Duration
	joined  []*egopb.Event

	// What is known while the cause of a refusal is narrowed down: how many appends the next batch may have, 0 is any
	// number, and how many at the head of the queue have the cause among them, 0 is nothing known.
	most, suspects int
}

// fill takes as many appends from the head of a queue as the bounds allow, at least one.
func (b *batch) fill(q *queue, maxEvents, maxBytes int) {
	events := 0
	for t := q.head; t != nil; t = q.head {
		fits := events+len(t.events) <= maxEvents && b.bytes+t.bytes <= maxBytes &&
			(b.most == 0 || len(b.tickets) < b.most)
		if !fits && len(b.tickets) > 0 {
			return
		}
		q.remove(t)
		b.tickets = append(b.tickets, t)
		b.bytes += t.bytes
		events += len(t.events)
	}
}

// events returns the events of all appends in order.
func (b *batch) events() []*egopb.Event {
	if len(b.tickets) == 1 {
		return b.tickets[0].events
	}
	for _, t := range b.tickets {
		b.joined = append(b.joined, t.events...)
	}
	return b.joined
}

// reset forgets all appends and events.
func (b *batch) reset() {
	clear(b.tickets)
	clear(b.joined)
	b.tickets, b.joined, b.bytes = b.tickets[:0], b.joined[:0], 0
}

// end decides what the end of a write means: which appends get its answer, and which are written again. There are fewer
// of the latter than before, or else the next batch is smaller, so retrying comes to an end.
func (b *batch) end(outcome Outcome, err error, maxEvents int) (answered, again []*ticket) {
	if outcome == Committed {
		b.widen(maxEvents)
		return b.tickets, nil
	}
	b.suspects = 0
	if outcome.refused() {
		return b.judge(err)
	}
	return b.tickets, nil
}

// widen lets the batches grow again after a successful write: to half of the suspects left, or else twofold.
func (b *batch) widen(maxEvents int) {
	b.suspects = max(0, b.suspects-len(b.tickets))
	if b.suspects > 0 {
		b.most = max(1, b.suspects/2)
		return
	}
	if b.most *= 2; b.most > maxEvents {
		b.most = 0
	}
}

// judge splits a batch that was refused into the appends that fail and those to be written again.
func (b *batch) judge(err error) (failed, again []*ticket) {
	if len(b.tickets) == 1 {
		return b.tickets, nil
	}
	entity, named := culprit(err)
	if !named {
		return b.halve()
	}
	var last uint64
	for i, t := range b.tickets {
		first, end, found := span(t.events, entity)
		switch {
		case !found:
			again = append(again, t)
		case len(failed) > 0 && first != last+1:
			b.most = i // the chain ends here; its rival waits for its turn
			return nil, b.tickets
		default:
			failed, last = append(failed, t), end
		}
	}
	if len(failed) == 0 {
		return b.halve()
	}
	return failed, again
}

// halve narrows a refusal down that does not say which append it is about.
func (b *batch) halve() (failed, again []*ticket) {
	b.suspects = len(b.tickets)
	b.most = b.suspects / 2
	return nil, b.tickets
}

// culprit returns the entity that a refusal is about.
func culprit(err error) (entity string, named bool) {
	if conflict, ok := errors.AsType[*persistence.ConflictError](err); ok {
		return conflict.PersistenceID, true
	}
	if invalid, ok := errors.AsType[*persistence.InvalidRecordError](err); ok {
		return invalid.PersistenceID, true
	}
	return "", false
}

// span returns the numbers of the first and the last event of an entity.
func span(events []*egopb.Event, entity string) (first, last uint64, found bool) {
	for _, e := range events {
		if e.GetPersistenceId() != entity {
			continue
		}
		if last = e.GetSequenceNumber(); !found {
			first, found = last, true
		}
	}
	return first, last, found
}
