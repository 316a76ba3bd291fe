package nats

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/actorkeep/ego/internal/gate"
	"github.com/actorkeep/ego/publisher"
)

// A producer is a connection and what sends over it.
type producer struct {
	config *Config
	conn   *nats.Conn
	js     jetstream.JetStream
	gate   gate.Gate
}

func newProducer(config *Config) (*producer, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	conn := config.Conn
	if conn == nil {
		opts := []nats.Option{nats.Name("ego " + config.ID), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true)}
		opts = append(opts, config.Options...)
		opts = append(opts, nats.ReconnectBufSize(-1)) // what is not sent is sent by the next attempt, and only then
		var err error
		if conn, err = nats.Connect(config.URL, opts...); err != nil {
			return nil, fmt.Errorf("nats: %w", err)
		}
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(config.InFlight*64))
	if err != nil {
		if config.Conn == nil {
			conn.Close()
		}
		return nil, fmt.Errorf("nats: %w", err)
	}
	return &producer{config: config, conn: conn, js: js}, nil
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
	if len(messages) == 0 {
		return failed
	}
	if !p.conn.IsConnected() {
		return publisher.Unavailable(fmt.Errorf("nats: not connected: %v", p.conn.Status()))
	}
	if p.config.Core {
		return errors.Join(p.flush(ctx, messages), failed)
	}
	for _, round := range publisher.Rounds(messages, p.config.InFlight) {
		if err := p.send(ctx, round); err != nil {
			return errors.Join(err, failed)
		}
	}
	return failed
}

// send publishes a round to JetStream and waits until all of it is taken or refused.
func (p *producer) send(ctx context.Context, round []*publisher.Message) error {
	var problems []error
	futures := make([]jetstream.PubAckFuture, len(round))
	for i, m := range round {
		future, err := p.js.PublishMsgAsync(p.message(m))
		if err != nil {
			problems = append(problems, classify(m, err))
			continue
		}
		futures[i] = future
	}
	for i, future := range futures {
		if future == nil {
			continue
		}
		select {
		case <-future.Ok():
		case err := <-future.Err():
			problems = append(problems, classify(round[i], err))
		case <-ctx.Done():
			return errors.Join(append(problems, publisher.Unavailable(ctx.Err()))...)
		}
	}
	return errors.Join(problems...)
}

// flush publishes messages to core NATS and waits until the server has read them.
func (p *producer) flush(ctx context.Context, messages []*publisher.Message) error {
	var (
		problems []error
		blocked  publisher.Blocked
	)
	ctx, cancel := context.WithTimeout(ctx, publisher.DefaultTimeout) // a flush needs one
	defer cancel()
	before := p.conn.Stats().Reconnects
	for _, m := range messages {
		if blocked.Has(m.Key) {
			continue
		}
		if err := p.conn.PublishMsg(p.message(m)); err != nil {
			problems = append(problems, classify(m, err))
			blocked.Add(m.Key)
		}
	}
	if err := p.conn.FlushWithContext(ctx); err != nil {
		problems = append(problems, publisher.Unavailable(fmt.Errorf("nats: %w", err)))
	} else if p.conn.Stats().Reconnects != before {
		problems = append(problems, publisher.Unavailable(errors.New("nats: the connection was lost meanwhile")))
	}
	return errors.Join(problems...)
}

func (p *producer) message(m *publisher.Message) *nats.Msg {
	msg := nats.NewMsg(p.config.Subject(m))
	for _, h := range m.Headers {
		msg.Header.Set(h.Name, h.Value)
	}
	msg.Header.Set(jetstream.MsgIDHeader, MessageID(m.ID))
	msg.Data = m.Body
	return msg
}

// MessageID returns an id as a header can hold it: an id with spaces, control characters or a percent sign is escaped.
func MessageID(id string) string {
	if strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == '%' || r == 0x7f }) {
		return url.PathEscape(id)
	}
	return id
}

// classify says whose fault an error of a message is.
func classify(m *publisher.Message, err error) error {
	err = fmt.Errorf("nats: %s: %w", m.ID, err)
	switch {
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrBadHeaderMsg),
		errors.Is(err, jetstream.ErrInvalidSubject), errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return publisher.Reject(err)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return err // no stream takes the subject, or JetStream is down: others will tell
	default:
		return publisher.Unavailable(err)
	}
}

func (p *producer) close(ctx context.Context) error {
	err := p.gate.Close(ctx)
	if p.config.Conn == nil {
		p.conn.Close()
	}
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	return nil
}
