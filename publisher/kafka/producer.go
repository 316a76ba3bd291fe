package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/actorkeep/ego/internal/gate"
	"github.com/actorkeep/ego/publisher"
)

// A producer is a client and what gathers records for it.
type producer struct {
	client *kgo.Client
	config *Config
	gate   gate.Gate
	rounds rounds
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
	p.rounds.send = p.send
	p.rounds.limit = int(config.MaxMessageBytes) - batchOverhead
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
		e := &entry{record: p.record(ctx, m)}
		e.size = sizeOf(e.record)
		if e.size > p.rounds.limit {
			failed = errors.Join(failed, publisher.Rejectf("kafka: %s has %d bytes, more than %d", m.ID, e.size, p.rounds.limit))
			blocked.Add(m.Key)
			continue
		}
		entries = append(entries, e)
	}
	if err := p.rounds.join(ctx, entries); err != nil {
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
		p.client.Produce(e.record.Context, e.record, func(_ *kgo.Record, err error) {
			e.err = classify(e.record.Topic, err)
		})
	}
	// Each record ends with its own context, so the flush ends as well.
	if err := p.client.Flush(context.Background()); err != nil {
		for _, e := range round {
			if e.err == nil {
				e.err = publisher.Unavailable(err)
			}
		}
	}
}

func (p *producer) close(ctx context.Context) error {
	err := p.gate.Close(ctx)
	p.client.Close()
	p.rounds.wait()
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}
