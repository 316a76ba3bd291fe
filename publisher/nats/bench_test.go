package nats_test

import (
	"fmt"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/publisher"
)

// BenchmarkPublish compares batches of 500 events of 100 entities with the same messages sent by the bare client,
// asynchronously and without regard to order.
func BenchmarkPublish(b *testing.B) {
	const size = 500
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprint("entity-", i)
	}
	b.Run("client=ego", func(b *testing.B) {
		p := newBroker(b).events(b)
		defer closePublisher(b, p)
		b.ReportAllocs()
		for from := uint64(1); b.Loop(); from += 5 {
			require.NoError(b, p.PublishBatch(b.Context(), newEvents(from, from+4, ids...)))
		}
		b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("client=bare", func(b *testing.B) {
		conn, js := newBroker(b).connect(b)
		defer conn.Close()
		b.ReportAllocs()
		for from := uint64(1); b.Loop(); from += 5 {
			for _, event := range newEvents(from, from+4, ids...) {
				m, err := publisher.Protobuf().EncodeEvent(event)
				require.NoError(b, err)
				msg := natsgo.NewMsg("ego.events.bench")
				msg.Header.Set("Nats-Msg-Id", m.ID)
				msg.Data = m.Body
				_, err = js.PublishMsgAsync(msg)
				require.NoError(b, err)
			}
			<-js.PublishAsyncComplete()
		}
		b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
	})
}
