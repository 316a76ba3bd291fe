package kafka_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/kafka"
)

// BenchmarkPublish compares batches of 500 events of 100 entities with the same records sent by the bare client.
func BenchmarkPublish(b *testing.B) {
	const size = 500
	var events []*egopb.Event
	for number := range uint64(5) {
		for id := range 100 {
			events = append(events, newEvents(string(rune('A'+id)), number+1, number+1)...)
		}
	}
	newFake := func(b *testing.B) *cluster {
		fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, kafka.DefaultEventTopic), kfake.BlackholeProduce())
		require.NoError(b, err)
		b.Cleanup(fake.Close)
		return &cluster{fake: fake, addrs: fake.ListenAddrs()}
	}
	b.Run("client=ego", func(b *testing.B) {
		p := newFake(b).events(b)
		defer closePublisher(b, p)
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, p.PublishBatch(b.Context(), events))
		}
		b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("client=bare", func(b *testing.B) {
		client, err := kgo.NewClient(kgo.SeedBrokers(newFake(b).addrs...))
		require.NoError(b, err)
		defer client.Close()
		b.ReportAllocs()
		for b.Loop() {
			records := make([]*kgo.Record, len(events))
			for i, event := range events {
				m, err := publisher.Protobuf().EncodeEvent(event)
				require.NoError(b, err)
				records[i] = &kgo.Record{Topic: kafka.DefaultEventTopic, Key: []byte(m.Key), Value: m.Body}
				for _, h := range m.Headers {
					records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: h.Name, Value: []byte(h.Value)})
				}
			}
			require.NoError(b, client.ProduceSync(b.Context(), records...).FirstErr())
		}
		b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
	})
}
