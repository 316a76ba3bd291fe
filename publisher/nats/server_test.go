package nats_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/nats"
	"github.com/actorkeep/ego/publisher/publishertest"
)

const (
	stream     = "EGO"
	maxMessage = 100_000
)

// A broker is a NATS server with JetStream in this process, on files that outlive its restarts.
type broker struct {
	mu     sync.Mutex
	server *server.Server
	opts   server.Options
}

func newBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{opts: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(), SyncInterval: time.Second,
	}}
	b.start(t)
	t.Cleanup(b.stop)
	conn, js := b.connect(t)
	defer conn.Close()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: stream, Subjects: []string{"ego.>"}, MaxMsgSize: maxMessage, Duplicates: time.Minute,
	})
	require.NoError(t, err)
	return b
}

func (b *broker) start(t testing.TB) {
	t.Helper()
	opts := b.opts
	s, err := server.NewServer(&opts)
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(time.Minute))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.server = s
	b.opts.Port = opts.Port
}

func (b *broker) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

func (b *broker) outage(t testing.TB) func() {
	t.Helper()
	b.stop()
	var once sync.Once
	return func() { once.Do(func() { b.start(t) }) }
}

func (b *broker) url() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.server.ClientURL()
}

func (b *broker) connect(t testing.TB) (*natsgo.Conn, jetstream.JetStream) {
	t.Helper()
	conn, err := natsgo.Connect(b.url())
	require.NoError(t, err)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	return conn, js
}

// messages returns all that the stream holds, in order.
func (b *broker) messages(t testing.TB) (messages []*jetstream.RawStreamMsg) {
	t.Helper()
	conn, js := b.connect(t)
	defer conn.Close()
	s, err := js.Stream(t.Context(), stream)
	require.NoError(t, err)
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	for seq := max(info.State.FirstSeq, 1); seq <= info.State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		messages = append(messages, m)
	}
	return messages
}

func (b *broker) received(t testing.TB) (received []publishertest.Received) {
	t.Helper()
	for _, m := range b.messages(t) {
		received = append(received, publishertest.Received{
			ID: m.Header.Get(publisher.HeaderEventID), Key: m.Header.Get(publisher.HeaderEntity), Body: m.Data,
		})
	}
	return received
}

func (b *broker) events(t testing.TB, change ...func(config *nats.Config)) *nats.EventPublisher {
	t.Helper()
	config := nats.Config{URL: b.url(), Options: []natsgo.Option{natsgo.ReconnectWait(20 * time.Millisecond)}}
	for _, f := range change {
		f(&config)
	}
	p, err := nats.NewEventPublisher(config)
	require.NoError(t, err)
	return p
}

func (b *broker) states(t testing.TB) *nats.StatePublisher {
	t.Helper()
	p, err := nats.NewStatePublisher(nats.Config{URL: b.url()})
	require.NoError(t, err)
	return p
}

func closePublisher(t testing.TB, p *nats.EventPublisher) {
	t.Helper()
	require.NoError(t, p.Close(context.Background()))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	publishertest.Run(t, func(t testing.TB) publishertest.Broker {
		b := newBroker(t)
		return publishertest.Broker{
			Events:    func(t testing.TB) publisher.EventPublisher { return b.events(t) },
			States:    func(t testing.TB) publisher.StatePublisher { return b.states(t) },
			Received:  b.received,
			Outage:    b.outage,
			Oversized: maxMessage + 1,
		}
	})
}
