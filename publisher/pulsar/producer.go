package pulsar

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/apache/pulsar-client-go/pulsar"

	"github.com/actorkeep/ego/internal/gate"
	"github.com/actorkeep/ego/internal/rounds"
	"github.com/actorkeep/ego/publisher"
)

// A message is what Pulsar gets, and where.
type message struct {
	topic   string
	content *pulsar.ProducerMessage
}

// An entry is a message on its way.
type entry = rounds.Entry[*message]

// batchOverhead is what a batch has besides its messages, with room to spare.
const batchOverhead = 512

// sizeOf is at least what a message takes in a batch: its body, and its headers twice, as a batch repeats those of its first.
func sizeOf(m *pulsar.ProducerMessage) int {
	size := 64 + len(m.Key)
	for name, value := range m.Properties {
		size += 16 + len(name) + len(value)
	}
	return 2*size + len(m.Payload)
}

// A producer is a client and what gathers messages for it.
type producer struct {
	config  *Config
	topics  *topics
	gate    gate.Gate
	rounds  rounds.Rounds[*message]
	closing sync.Once
	closed  chan struct{}
}

func newProducer(config *Config) (*producer, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	client, err := newClient(config)
	if err != nil {
		return nil, err
	}
	p := &producer{config: config, closed: make(chan struct{})}
	p.topics = &topics{
		client: client, links: make(map[string]*link), names: make(map[string]*name),
		options: func(topic, name string, lost func()) pulsar.ProducerOptions {
			return producerOptions(config, topic, name, lost)
		},
	}
	p.rounds.Send = p.send
	p.rounds.Count = maxBatch
	p.rounds.Bytes = config.MaxMessageBytes - batchOverhead
	return p, nil
}

// publish sends messages and waits for the broker. The error of their encoding is returned when nothing else is wrong.
func (p *producer) publish(ctx context.Context, messages []*publisher.Message, failed error) error {
	if !p.gate.Enter() {
		return publisher.ErrClosed
	}
	defer p.gate.Leave()
	if err := ctx.Err(); err != nil {
		return publisher.Unavailable(err)
	}
	var blocked publisher.Blocked
	entries := make([]*entry, 0, len(messages))
	for _, m := range messages {
		if blocked.Has(m.Key) {
			continue
		}
		e := &entry{Message: &message{p.config.Topic(m), contentOf(m)}, Context: ctx}
		e.Size = sizeOf(e.Message.content)
		if e.Size > p.rounds.Bytes {
			failed = errors.Join(failed, publisher.Rejectf("pulsar: %s has %d bytes, more than %d", m.ID, e.Size, p.rounds.Bytes))
			blocked.Add(m.Key)
			continue
		}
		entries = append(entries, e)
	}
	if err := p.rounds.Join(ctx, entries); err != nil {
		return err
	}
	return failed
}

// contentOf is what Pulsar keeps of a message.
func contentOf(m *publisher.Message) *pulsar.ProducerMessage {
	properties := make(map[string]string, len(m.Headers))
	for _, h := range m.Headers {
		properties[h.Name] = h.Value
	}
	body := m.Body
	if body == nil {
		body = []byte{}
	}
	return &pulsar.ProducerMessage{Payload: body, Key: m.Key, Properties: properties, EventTime: m.Time}
}

// close ends the client when the calls that are under way have ended, or with the context. What a silent broker holds up ends
// in the background.
func (p *producer) close(ctx context.Context) error {
	err := p.gate.Close(ctx)
	p.closing.Do(func() {
		go func() {
			defer close(p.closed)
			p.topics.close()
			p.rounds.Wait() // nothing is left of them, unless the context has ended
		}()
	})
	select {
	case <-p.closed:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("pulsar: %w", err)
	}
	return nil
}
