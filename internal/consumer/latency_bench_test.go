package consumer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/projection"
)

// BenchmarkLatency measures the time from the end of a commit to the handler on an idle system: in the process that
// committed, in one that the store notifies, and in one that polls each 10 or 100 milliseconds. The other process is another
// store with connections of its own, so that one clock measures both ends.
//
//	go test -run '^$' -bench Latency -benchtime 200x ./internal/consumer
func BenchmarkLatency(b *testing.B) {
	for _, store := range []string{"memory", "sqlite"} {
		b.Run("store="+store+"/wake=commit", func(b *testing.B) {
			made := benchStores()[store](b).store
			benchLatency(b, made, made, time.Hour, true)
		})
	}
	for wake, interval := range map[string]time.Duration{
		"commit": time.Hour, "notification": time.Hour, "poll10ms": 10 * time.Millisecond, "poll100ms": 100 * time.Millisecond,
	} {
		b.Run("store=postgres/wake="+wake, func(b *testing.B) {
			schema := pgtest.Schema(b)
			writer, _ := benchSchema(b, schema)
			switch reader, _ := benchSchema(b, schema); wake {
			case "commit":
				benchLatency(b, writer, writer, interval, true)
			case "notification":
				benchLatency(b, writer, reader, interval, false)
			default:
				benchLatency(b, writer, deaf{reader}, interval, false)
			}
		})
	}
}

// deaf is a store without notifications.
type deaf struct{ persistencetest.Backend }

func benchLatency(b *testing.B, writer, reader persistencetest.Backend, interval time.Duration, told bool) {
	b.Helper()
	handled := make(chan time.Time, 1)
	group := consumer.New(consumer.Config{Offsets: reader, Letters: reader, Owner: "bench"})
	feed := group.Feed(consumer.Events(reader), reader)
	_, err := group.Start(b.Context(), consumer.Spec{
		Name: "c", Feed: feed, Open: opener{}, PullInterval: interval,
		Sink: consumer.HandlerSink(projection.HandlerFunc(func(context.Context, *projection.Event) error {
			handled <- time.Now()
			return nil
		})),
	})
	require.NoError(b, err)
	number := uint64(0)
	once := func() time.Duration {
		number++
		require.NoError(b, writer.WriteEvents(b.Context(), []*egopb.Event{benchEvent(b, "a", number)}))
		done := time.Now()
		if told {
			feed.CommittedEntity("a")
		}
		return max((<-handled).Sub(done), 0)
	}
	once() // all shards are leased
	var waits []time.Duration
	for b.Loop() {
		<-time.After(time.Duration(rand.Int64N(int64(min(interval, 20*time.Millisecond))))) // not in step with polls
		waits = append(waits, once())
	}
	require.NoError(b, group.Stop(b.Context()))
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-µs")
}

// awaitShards waits until workers know the offsets of so many shards, and all is recorded.
func awaitShards(b *testing.B, group *consumer.Group, count int) {
	b.Helper()
	require.Eventually(b, func() bool {
		ready := 0
		for _, status := range group.Statuses() {
			for _, shard := range status.Shards {
				if shard.Lag != nil && shard.Lag.Events == 0 {
					ready++
				}
			}
		}
		return ready == count
	}, time.Minute, 10*time.Millisecond)
}

// BenchmarkIdle measures what projections that have caught up ask of PostgreSQL, in calls of the store per second; each is a
// query or two. An iteration takes five seconds.
//
//	go test -run '^$' -bench Idle -benchtime 1x ./internal/consumer
func BenchmarkIdle(b *testing.B) {
	for _, projections := range []int{1, 100} {
		b.Run(fmt.Sprintf("projections=%d", projections), func(b *testing.B) {
			faults := persistencetest.NewFaults()
			connected, _ := benchSchema(b, pgtest.Schema(b))
			store := faults.Backend(connected)
			require.NoError(b, store.WriteEvents(b.Context(), []*egopb.Event{benchEvent(b, "a", 1)}))
			group := consumer.New(consumer.Config{Offsets: store, Letters: store, Owner: "bench"})
			feed := group.Feed(consumer.Events(store), store)
			for i := range projections {
				_, err := group.Start(b.Context(), consumer.Spec{Name: fmt.Sprint("c", i), Feed: feed, Sink: &log{}, Open: opener{}})
				require.NoError(b, err)
			}
			awaitShards(b, group, projections*int(store.ShardCount()))
			const window = 5 * time.Second
			calls := 0
			for b.Loop() {
				before := faults.Calls(persistencetest.AnyOperation)
				<-time.After(window)
				calls += faults.Calls(persistencetest.AnyOperation) - before
			}
			require.NoError(b, group.Stop(b.Context()))
			b.ReportMetric(float64(calls)/(float64(b.N)*window.Seconds()), "calls/s")
		})
	}
}
