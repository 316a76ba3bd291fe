package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/actorkeep/ego/internal/gate"
	"github.com/actorkeep/ego/internal/rounds"
	"github.com/actorkeep/ego/publisher"
)

// A producer is a client and what gathers records for it.
type producer struct {
	client *kgo.Client
	config *Config
	gate   gate.Gate
	rounds rounds.Rounds[*kgo.Record]
}

func newProducer(config *Config) (*producer, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(config.Brokers...),
		kgo.MetadataMinAge(250 * time.Millisecond), // a leader that moved is found soon
		kgo.ClientID("ego"),
	}
	opts = append(opts, config.Options...)
	opts = append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ManualFlushing(), // so that a round makes one batch for each partition
		kgo.MaxBufferedRecords(1<<20),
		kgo.ProducerBatchMaxBytes(config.MaxMessageBytes),
		kgo.AllowIdempotentProduceCancellation(), // a call ends with its context; what it had sent may arrive twice
	)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	p := &producer{client: client, config: config}
	p.rounds.Send = p.send
	p.rounds.Bytes = int(config.MaxMessageBytes) - batchOverhead
	return p, nil
}

// batchOverhead is what a batch has besides its records, with room to spare.
const batchOverhead = 128

// An entry is a record on its way.
type entry = rounds.Entry[*kgo.Record]

// sizeOf is at least what a record takes in a batch: its parts, each with a length of at most five bytes.
func sizeOf(r *kgo.Record) int {
	size := 40 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += 10 + len(h.Key) + len(h.Value)
	}
	return size
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
		e := &entry{Message: p.record(ctx, m), Context: ctx}
		e.Size = sizeOf(e.Message)
		if e.Size > p.rounds.Bytes {
			failed = errors.Join(failed, publisher.Rejectf("kafka: %s has %d bytes, more than %d", m.ID, e.Size, p.rounds.Bytes))
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

// record is what Kafka keeps of a message.
func (p *producer) record(ctx context.Context, m *publisher.Message) *kgo.Record {
	headers := make([]kgo.RecordHeader, len(m.Headers))
	for i, h := range m.Headers {
		name := h.Name
		if attribute, ok := strings.CutPrefix(name, "ce-"); ok {
			name = "ce_" + attribute // the binding of CloudEvents to Kafka has it so
		}
		headers[i] = kgo.RecordHeader{Key: name, Value: []byte(h.Value)}
	}
	return &kgo.Record{
		Topic: p.config.Topic(m), Key: []byte(m.Key), Value: m.Body, Headers: headers, Timestamp: m.Time, Context: ctx,
	}
}

// send produces a round and waits until all its records are taken or refused.
func (p *producer) send(round []*entry) {
	for _, e := range round {
		p.client.Produce(e.Context, e.Message, func(r *kgo.Record, err error) {
			e.Err = classify(r.Topic, err)
		})
	}
	// Each record ends with its own context, so the flush ends as well.
	if err := p.client.Flush(context.Background()); err != nil {
		for _, e := range round {
			if e.Err == nil {
				e.Err = publisher.Unavailable(err)
			}
		}
	}
}

func (p *producer) close(ctx context.Context) error {
	err := p.gate.Close(ctx)
	p.client.Close()
	p.rounds.Wait()
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}
