package pulsar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/apache/pulsar-client-go/pulsar"

	"github.com/actorkeep/ego/publisher"
)

// send sends a round and waits until all of it is taken or refused, or its contexts have ended.
func (p *producer) send(round []*entry) {
	parts := p.parts(round)
	for i, part := range parts {
		var sending sync.WaitGroup
		for topic, entries := range grouped(part, func(e *entry) string { return e.Message.topic }) {
			sending.Go(func() { p.sendTopic(topic, entries) })
		}
		sending.Wait()
		if slices.ContainsFunc(part, func(e *entry) bool { return e.Err != nil }) {
			for _, e := range slices.Concat(parts[i+1:]...) {
				e.Err = errBehind
			}
			return
		}
	}
}

// errBehind is that of messages that were not sent because something before them failed.
var errBehind = publisher.Unavailable(errors.New("pulsar: not sent, as another message failed before"))

// parts divides a round into what may be on its way at once: all of it when a partition gets one batch, which is taken or refused
// as a whole, or else one message of each entity.
func (p *producer) parts(round []*entry) (parts [][]*entry) {
	if !p.config.KeyShared {
		return [][]*entry{round}
	}
	next := make(map[string]int)
	for _, e := range round {
		key := e.Message.content.Key
		if i := next[key]; i == len(parts) {
			parts = append(parts, []*entry{e})
		} else {
			parts[i] = append(parts[i], e)
		}
		next[key]++
	}
	return parts
}

func grouped[K comparable](entries []*entry, key func(e *entry) K) map[K][]*entry {
	groups := make(map[K][]*entry)
	for _, e := range entries {
		k := key(e)
		groups[k] = append(groups[k], e)
	}
	return groups
}

// attempts is how often what was on its way is sent again at once when the connection is lost.
const attempts = 3

// sendTopic sends what a topic gets of a round. What is not acknowledged when the connection is lost is sent again: a batch under
// its sequence id, as a partition has no other on its way. Of messages on their way side by side the broker may have refused
// one and taken a later one, and would drop the first as a repeat, so those get new ids.
func (p *producer) sendTopic(topic string, entries []*entry) {
	for attempt := range attempts {
		if attempt == 0 || p.config.KeyShared {
			p.topics.number(topic, entries)
		}
		var over *link
		if over, entries = p.linkFor(topic, entries); len(entries) == 0 {
			return
		}
		p.attempt(over, entries)
		entries = slices.DeleteFunc(entries, func(e *entry) bool { return e.Err == nil || errors.Is(e.Err, publisher.ErrRejected) })
		if len(entries) == 0 {
			return
		}
		p.topics.drop(over) // nothing of it may arrive behind what is tried next
	}
}

// attempt sends entries over a link, those of each partition side by side.
func (p *producer) attempt(over *link, entries []*entry) {
	var sending sync.WaitGroup
	for _, batch := range grouped(entries, func(e *entry) int { return partitionOf(e.Message.content.Key, over.count) }) {
		sending.Go(func() { over.send(batch) })
	}
	sending.Wait()
}

// linkFor returns the link to a topic and the entries that may be sent: those whose call has not ended meanwhile. None are left
// when there is no link.
func (p *producer) linkFor(topic string, entries []*entry) (*link, []*entry) {
	for i, e := range entries {
		if err := e.Context.Err(); err != nil {
			e.Err = publisher.Unavailable(err)
			continue
		}
		over, err := p.topics.get(e.Context, topic)
		switch {
		case err == nil:
			return over, slices.Clone(entries[i:])
		case over == nil:
			e.Err = err // its context has ended; others may wait for longer
		default:
			for _, e := range entries[i:] {
				e.Err = err
			}
			return nil, nil
		}
	}
	return nil, nil
}

// send sends entries to one partition and waits for them. The last one completes the batch.
func (l *link) send(entries []*entry) {
	acks := make([]chan error, len(entries))
	for i, e := range entries {
		acks[i] = make(chan error, 1)
		if i < len(entries)-1 {
			l.enqueue(e.Message.content, acks[i])
		} else {
			go l.flush(e.Message.content, acks[i])
		}
	}
	for i, e := range entries {
		e.Err = l.await(e.Context, acks[i])
	}
}

// await waits for an acknowledgement, as long as the call and the link last.
func (l *link) await(ctx context.Context, ack <-chan error) error {
	select {
	case err := <-ack:
		return classify(l.topic, err)
	case <-l.alive.Done():
	case <-ctx.Done():
	}
	select {
	case err := <-ack: // it was in time
		return classify(l.topic, err)
	default:
	}
	err := ctx.Err()
	if err == nil {
		err = pulsar.ErrProducerClosed
	}
	return publisher.Unavailable(fmt.Errorf("pulsar: topic %q: %w", l.topic, err))
}

// enqueue adds a message to the batch.
func (l *link) enqueue(m *pulsar.ProducerMessage, ack chan<- error) {
	var once sync.Once
	done := func(err error) { once.Do(func() { ack <- err }) }
	if !l.calls.Enter() {
		done(pulsar.ErrProducerClosed)
		return
	}
	defer l.calls.Leave()
	defer recovered(done)
	l.producer.SendAsync(l.alive, m, func(_ pulsar.MessageID, _ *pulsar.ProducerMessage, err error) { done(err) })
}

// flush sends a message with the batch that it completes, and waits for the broker or the end of the producer.
func (l *link) flush(m *pulsar.ProducerMessage, ack chan<- error) {
	var once sync.Once
	done := func(err error) { once.Do(func() { ack <- err }) }
	if !l.calls.Enter() {
		done(pulsar.ErrProducerClosed)
		return
	}
	defer l.calls.Leave()
	defer recovered(done)
	_, err := l.producer.Send(l.alive, m)
	done(err)
}

// recovered makes an error of a panic: the client sends on a closed channel when it gives up a producer by itself just then.
func recovered(done func(err error)) {
	if value := recover(); value != nil {
		done(fmt.Errorf("%w: %v", pulsar.ErrProducerClosed, value))
	}
}

// classify says whose fault an error of a topic is.
func classify(name string, err error) error {
	if err == nil {
		return nil
	}
	failure := fmt.Errorf("pulsar: topic %q: %w", name, err)
	switch {
	case errors.Is(err, context.Canceled):
		return publisher.Unavailable(failure) // the producer was given up
	case errors.Is(err, pulsar.ErrMessageTooLarge), says(err, "exceeds MaxMessageSize"):
		return publisher.Reject(failure)
	case says(err, "TopicNotFound", "TopicTerminated", "AuthorizationError", "InvalidTopicName", "NotAllowedError",
		"IncompatibleSchema", "Invalid topic name"):
		return failure // of this topic alone, or of all: others will tell
	}
	return publisher.Unavailable(failure)
}

// says reports whether there is an error with one of these texts, as the client makes text of what brokers say.
func says(err error, texts ...string) bool {
	for _, text := range texts {
		if err != nil && strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}
