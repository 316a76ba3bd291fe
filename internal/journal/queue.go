package journal

import "github.com/actorkeep/ego/egopb"

// A ticket is an append that waits for its answer. Its done channel receives exactly one answer per use. All fields but
// done change under Journal.mu while others know the ticket.
type ticket struct {
	events []*egopb.Event
	bytes  int
	done   chan error // of capacity one

	canceled   bool // the appender's context has ended while the ticket was in a write
	queue      *queue
	prev, next *ticket
}

func newTicket() any { return &ticket{done: make(chan error, 1)} }

// A queue holds tickets in order of arrival and knows how much they hold.
type queue struct {
	head, tail             *ticket
	appends, events, bytes int
}

func (q *queue) pushBack(t *ticket)  { q.insert(t, q.tail, nil) }
func (q *queue) pushFront(t *ticket) { q.insert(t, nil, q.head) }

func (q *queue) insert(t, prev, next *ticket) {
	t.queue, t.prev, t.next = q, prev, next
	q.link(prev, next, t, t)
	q.count(t, 1)
}

// remove takes out a ticket, wherever it stands.
func (q *queue) remove(t *ticket) {
	q.link(t.prev, t.next, t.next, t.prev)
	t.queue, t.prev, t.next = nil, nil, nil
	q.count(t, -1)
}

// link makes after what follows prev, and before what precedes next.
func (q *queue) link(prev, next, after, before *ticket) {
	if prev == nil {
		q.head = after
	} else {
		prev.next = after
	}
	if next == nil {
		q.tail = before
	} else {
		next.prev = before
	}
}

func (q *queue) count(t *ticket, sign int) {
	q.appends += sign
	q.events += sign * len(t.events)
	q.bytes += sign * t.bytes
}

// answerAll empties the queue and gives all the same answer.
func (q *queue) answerAll(err error) {
	for t := q.head; t != nil; t = q.head {
		q.remove(t)
		t.done <- err
	}
}
