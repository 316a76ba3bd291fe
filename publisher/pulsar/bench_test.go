package pulsar_test

import (
	"fmt"
	"sync"
	"testing"

	client "github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsar/log"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/pulsar"
)

// BenchmarkPublish compares batches of 500 events of 100 entities with the same messages sent by the bare client, into the fake,
// which parses and stores them in the same process: it says what the publisher costs, not what Pulsar does.
func BenchmarkPublish(b *testing.B) {
	const size = 500
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprintf("entity-%d", i))
	}
	events := newEvents(1, 5, ids...)
	b.Run("client=ego", func(b *testing.B) {
		p := newFake(b, 1).events(b)
		defer closePublisher(b, p)
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, p.PublishBatch(b.Context(), events))
		}
		b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("client=bare", func(b *testing.B) {
		c, err := client.NewClient(client.ClientOptions{URL: newFake(b, 1).url(), Logger: log.DefaultNopLogger()})
		require.NoError(b, err)
		defer c.Close()
		p, err := c.CreateProducer(client.ProducerOptions{Topic: pulsar.DefaultEventTopic, SendTimeout: -1}) // as ours; a timeout outlives its producer
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			var acked sync.WaitGroup
			for _, event := range events {
				m, err := publisher.Protobuf().EncodeEvent(event)
				require.NoError(b, err)
				properties := make(map[string]string, len(m.Headers))
				for _, h := range m.Headers {
					properties[h.Name] = h.Value
				}
				acked.Add(1)
				p.SendAsync(b.Context(), &client.ProducerMessage{Payload: m.Body, Key: m.Key, Properties: properties, EventTime: m.Time},
					func(client.MessageID, *client.ProducerMessage, error) { acked.Done() })
			}
			require.NoError(b, p.FlushWithCtx(b.Context()))
			acked.Wait()
		}
		b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
	})
}
