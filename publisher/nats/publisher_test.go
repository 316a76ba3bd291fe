package nats_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/nats"
)

func newEvents(from, to uint64, ids ...string) (events []*egopb.Event) {
	for number := from; number <= to; number++ {
		for _, id := range ids {
			events = append(events, &egopb.Event{PersistenceId: id, SequenceNumber: number, Kind: "some kind"})
		}
	}
	return events
}

func TestJetStream(t *testing.T) {
	t.Parallel()

	t.Run("RepeatsAreDroppedByTheBroker", func(t *testing.T) {
		t.Parallel()
		b := newBroker(t)
		p := b.events(t)
		defer closePublisher(t, p)
		events := newEvents(1, 10, "a b", "a%20b", "a\nb")
		require.NoError(t, p.PublishBatch(t.Context(), events))
		require.NoError(t, p.PublishBatch(t.Context(), events))
		messages := b.messages(t)
		require.Len(t, messages, 30, "repeats are dropped, and ids that look alike are not the same")
		require.Equal(t, "ego.events.some_kind", messages[0].Subject)
		require.NotEqual(t, messages[0].Header.Get(jetstream.MsgIDHeader), messages[1].Header.Get(jetstream.MsgIDHeader))
	})
	t.Run("SubjectWithoutAStreamIsNobodysFaultForSure", func(t *testing.T) {
		t.Parallel()
		b := newBroker(t)
		p := b.events(t, func(config *nats.Config) { config.Subject = func(*publisher.Message) string { return "other.subject" } })
		defer closePublisher(t, p)
		err := p.Publish(t.Context(), newEvents(1, 1, "a")[0])
		require.ErrorIs(t, err, jetstream.ErrNoStreamResponse)
		require.NotErrorIs(t, err, publisher.ErrRejected)
		require.NotErrorIs(t, err, publisher.ErrUnavailable)
	})
	t.Run("ConnectionOfTheCallerStaysOpen", func(t *testing.T) {
		t.Parallel()
		b := newBroker(t)
		conn, _ := b.connect(t)
		defer conn.Close()
		p := b.events(t, func(config *nats.Config) { config.Conn, config.URL = conn, "" })
		require.NoError(t, p.PublishBatch(t.Context(), newEvents(1, 5, "a")))
		require.NoError(t, p.Close(t.Context()))
		require.False(t, conn.IsClosed())
	})
	t.Run("ServerMayComeLater", func(t *testing.T) {
		t.Parallel()
		b := newBroker(t)
		restore := b.outage(t)
		p, err := nats.NewEventPublisher(nats.Config{
			URL: fmt.Sprintf("nats://127.0.0.1:%d", b.opts.Port), Options: []natsgo.Option{natsgo.ReconnectWait(20 * time.Millisecond)},
		})
		require.NoError(t, err)
		defer closePublisher(t, p)
		require.ErrorIs(t, p.Publish(t.Context(), newEvents(1, 1, "a")[0]), publisher.ErrUnavailable)
		restore()
		require.Eventually(t, func() bool { return p.Publish(t.Context(), newEvents(1, 1, "a")[0]) == nil }, time.Minute, 20*time.Millisecond)
	})
}

func TestCore(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	conn, _ := b.connect(t)
	defer conn.Close()
	heard, err := conn.SubscribeSync("core.>")
	require.NoError(t, err)
	require.NoError(t, conn.Flush())
	p := b.events(t, func(config *nats.Config) {
		config.Core = true
		config.Subject = func(m *publisher.Message) string { return "core." + nats.Token(m.Key) }
	})
	defer closePublisher(t, p)
	require.NoError(t, p.PublishBatch(t.Context(), newEvents(1, 20, "a", "b")))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 40 {
		m, err := heard.NextMsgWithContext(ctx)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i/2+1), m.Header.Get(publisher.HeaderNumber))
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := nats.NewEventPublisher(nats.Config{InFlight: -1})
	require.ErrorContains(t, err, "either a connection or a URL")
	require.ErrorContains(t, err, "below zero")
	_, err = nats.NewStatePublisher(nats.Config{URL: "nats://x", Conn: new(natsgo.Conn)})
	require.ErrorContains(t, err, "either")
	require.Equal(t, "_", nats.Token(""))
	require.Equal(t, "a_b__c_d", nats.Token("a.b >c*d"))
}
