package pulsar_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"
	"time"

	client "github.com/apache/pulsar-client-go/pulsar"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/publishertest"
	"github.com/actorkeep/ego/publisher/pulsar"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func (f *fake) events(t testing.TB, change ...func(config *pulsar.Config)) *pulsar.EventPublisher {
	t.Helper()
	config := pulsar.Config{URL: f.url(), MaxMessageBytes: maxMessageSize, ClientOptions: client.ClientOptions{OperationTimeout: 2 * time.Second}}
	for _, f := range change {
		f(&config)
	}
	p, err := pulsar.NewEventPublisher(config)
	require.NoError(t, err)
	return p
}

func (f *fake) states(t testing.TB) *pulsar.StatePublisher {
	t.Helper()
	p, err := pulsar.NewStatePublisher(pulsar.Config{URL: f.url()})
	require.NoError(t, err)
	return p
}

func (f *fake) received(testing.TB) (received []publishertest.Received) {
	for _, m := range f.messages() {
		received = append(received, publishertest.Received{ID: m.properties[publisher.HeaderEventID], Key: m.key, Body: m.body})
	}
	return received
}

// TestBroker is the conformance on a real broker, where EGO_TEST_PULSAR_URL names one. Each publisher has a topic of its own, which
// the broker must make when it is used.
func TestBroker(t *testing.T) {
	t.Parallel()
	url := os.Getenv("EGO_TEST_PULSAR_URL")
	if url == "" {
		t.Log("EGO_TEST_PULSAR_URL names no broker, so there is only the fake")
		return
	}
	publishertest.Run(t, func(t testing.TB) publishertest.Broker {
		topic := "persistent://public/default/ego-test-" + rand.Text()
		config := pulsar.Config{URL: url, Topic: func(*publisher.Message) string { return topic }}
		return publishertest.Broker{
			Events: func(t testing.TB) publisher.EventPublisher {
				p, err := pulsar.NewEventPublisher(config)
				require.NoError(t, err)
				return p
			},
			States: func(t testing.TB) publisher.StatePublisher {
				p, err := pulsar.NewStatePublisher(config)
				require.NoError(t, err)
				return p
			},
			Received:  func(t testing.TB) []publishertest.Received { return readTopic(t, url, topic) },
			Oversized: pulsar.DefaultMaxMessageBytes + 1,
		}
	})
}

// readTopic reads a topic from its first message to what is its last now.
func readTopic(t testing.TB, url, topic string) (received []publishertest.Received) {
	c, err := client.NewClient(client.ClientOptions{URL: url})
	require.NoError(t, err)
	defer c.Close()
	reader, err := c.CreateReader(client.ReaderOptions{Topic: topic, StartMessageID: client.EarliestMessageID()})
	require.NoError(t, err)
	defer reader.Close()
	for reader.HasNext() {
		m, err := reader.Next(t.Context())
		require.NoError(t, err)
		received = append(received, publishertest.Received{ID: m.Properties()[publisher.HeaderEventID], Key: m.Key(), Body: m.Payload()})
	}
	return received
}

func closePublisher(t testing.TB, p *pulsar.EventPublisher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, p.Close(ctx))
}

func TestConformance(t *testing.T) { // G6
	t.Parallel()
	for name, c := range map[string]struct {
		partitions int
		keyShared  bool
	}{
		"Plain": {1, false}, "Partitioned": {3, false}, "KeyShared": {3, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			publishertest.Run(t, func(t testing.TB) publishertest.Broker {
				f := newFake(t, c.partitions)
				return publishertest.Broker{
					Events: func(t testing.TB) publisher.EventPublisher {
						return f.events(t, func(config *pulsar.Config) { config.KeyShared = c.keyShared })
					},
					States:    func(t testing.TB) publisher.StatePublisher { return f.states(t) },
					Received:  f.received,
					Outage:    f.outage,
					Oversized: maxMessageSize + 1,
				}
			})
		})
	}
}
