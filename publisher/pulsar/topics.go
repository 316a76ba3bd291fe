package pulsar

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/apache/pulsar-client-go/pulsar"

	"github.com/actorkeep/ego/internal/gate"
	"github.com/actorkeep/ego/publisher"
)

// topics keeps a link for each topic. Making and closing one takes as long as the broker does and knows no context, so both happen
// in the background.
type topics struct {
	client  pulsar.Client
	options func(topic, name string, lost func()) pulsar.ProducerOptions

	mu         sync.Mutex
	closed     bool
	links      map[string]*link
	names      map[string]*name
	background sync.WaitGroup // begun while it is not closed
}

// A name is that of the producers for a topic, one after the other. A broker with deduplication knows by it what it has already
// of what is sent again after a connection was lost. It ends with the process, or when another process could be meant.
type name struct {
	text       string
	partitions uint32 // a name is not used again when their number changes: ids ascend in each
	next       int64  // sequence id
}

func newName() *name { return &name{text: "ego-" + rand.Text()} }

// A link is a producer, once ready is closed, or else what kept it from being made. It ends with its connection: the client would
// connect again by itself, but then it races with itself.
type link struct {
	topic    string
	ready    chan struct{}
	producer pulsar.Producer
	count    uint32 // of partitions
	err      error

	alive context.Context //nolint:containedctx // of what is on its way
	kill  context.CancelFunc
	calls gate.Gate // calls of the producer, which end when the link does
}

// get returns the link to a topic, waiting no longer than the context while it is being made. It returns nil when that was not
// long enough.
func (t *topics) get(ctx context.Context, topic string) (*link, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, publisher.ErrClosed
	}
	found := t.links[topic]
	if found == nil {
		found = &link{topic: topic, ready: make(chan struct{})}
		found.alive, found.kill = context.WithCancel(context.WithoutCancel(ctx))
		t.links[topic] = found
		if t.names[topic] == nil {
			t.names[topic] = newName()
		}
		options := t.options(topic, t.names[topic].text, func() { t.drop(found) })
		t.background.Go(func() { t.create(found, options) })
	}
	t.mu.Unlock()
	select {
	case <-found.ready:
		return found, found.err
	case <-ctx.Done():
		return nil, publisher.Unavailable(fmt.Errorf("pulsar: no producer for %s yet: %w", topic, ctx.Err()))
	}
}

func (t *topics) create(made *link, options pulsar.ProducerOptions) {
	defer close(made.ready)
	var err error
	made.producer, err = t.client.CreateProducer(options)
	if says(err, "ProducerBusy") { // the broker has not noticed yet that the one before is gone
		options.Name = t.rename(made.topic)
		made.producer, err = t.client.CreateProducer(options)
	}
	if err == nil {
		err = t.accept(made)
	}
	if err == nil {
		return
	}
	made.err = classify(made.topic, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	made.kill()
	if t.links[made.topic] == made {
		delete(t.links, made.topic)
	}
	if errors.Is(err, errPartitions) {
		t.names[made.topic] = newName()
	}
}

// rename has a topic go on under a new name, of which the broker knows nothing.
func (t *topics) rename(topic string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names[topic].text = newName().text
	return t.names[topic].text
}

var errPartitions = errors.New("the topic has another number of partitions now")

// accept closes a producer that cannot be used.
func (t *topics) accept(made *link) error {
	counted, ok := made.producer.(pulsar.TopicMetadata)
	if !ok {
		made.producer.Close()
		return errors.New("the client does not tell how many partitions there are")
	}
	made.count = counted.NumPartitions()
	t.mu.Lock()
	of := t.names[made.topic]
	changed := of.partitions != 0 && of.partitions != made.count
	of.partitions = made.count
	t.mu.Unlock()
	switch {
	case changed:
		made.producer.Close()
		return errPartitions
	case made.alive.Err() != nil: // the connection was lost again
		made.producer.Close()
		return pulsar.ErrProducerClosed
	}
	return nil
}

// drop gives up a link, with all that is on its way.
func (t *topics) drop(old *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old.kill()
	if t.links[old.topic] != old {
		return
	}
	delete(t.links, old.topic)
	if t.closed {
		return // the client closes all
	}
	t.background.Go(func() {
		<-old.ready
		old.end()
		if old.err == nil {
			old.producer.Close()
		}
	})
}

// end waits until the producer is not called any more: the client must not be while it closes a producer.
func (l *link) end() {
	l.kill()
	_ = l.calls.Close(context.Background()) // soon, as no call outlives the link
}

// number gives the messages of a topic ascending sequence ids.
func (t *topics) number(topic string, entries []*entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.names[topic] == nil {
		t.names[topic] = newName()
	}
	of := t.names[topic]
	for _, e := range entries {
		id := of.next
		of.next++
		numbered := *e.Message.content // the client may still read the one before
		numbered.SequenceID = &id
		e.Message.content = &numbered
	}
}

// close ends the client. It waits for what is being made, and for brokers that do not answer.
func (t *topics) close() {
	t.mu.Lock()
	t.closed = true
	left := t.links
	t.links = nil
	t.mu.Unlock()
	for _, each := range left {
		each.end()
	}
	t.background.Wait()
	t.client.Close()
}
