package pulsar_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/apache/pulsar-client-go/pulsar"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/pulsar"
)

func newEvents(from, to uint64, ids ...string) (events []*egopb.Event) {
	for number := from; number <= to; number++ {
		for _, id := range ids {
			events = append(events, &egopb.Event{
				PersistenceId: id, SequenceNumber: number, Kind: "account", TimeUnixNano: int64(number) * 1e6,
				Payload: &anypb.Any{TypeUrl: "type.googleapis.com/bank.v1.Deposited", Value: make([]byte, 100)},
			})
		}
	}
	return events
}

// ids are those of an entity's messages, as they arrived.
func (f *fake) ids(key string) (ids []string) {
	for _, m := range f.messages() {
		if m.key == key {
			ids = append(ids, m.properties[publisher.HeaderEventID])
		}
	}
	return ids
}

func idsOf(key string, from, to int) (ids []string) {
	for number := from; number <= to; number++ {
		ids = append(ids, fmt.Sprintf("%s/%d", key, number))
	}
	return ids
}

func TestMessages(t *testing.T) {
	t.Parallel()

	t.Run("ArePlainBytesWithKeyPropertiesAndTime", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, 1)
		p := f.events(t, func(config *pulsar.Config) {
			config.Producer = func(options *client.ProducerOptions) { options.CompressionType = client.ZLib }
		})
		defer closePublisher(t, p)
		events := newEvents(1, 3, "käse")
		require.NoError(t, p.PublishBatch(t.Context(), events))
		messages := f.messages()
		require.Len(t, messages, 3)
		for i, m := range messages {
			want, err := publisher.Protobuf().EncodeEvent(events[i])
			require.NoError(t, err)
			require.Equal(t, want.Body, m.body)
			require.Equal(t, "käse", m.key)
			require.EqualValues(t, i+1, m.eventTime, "in milliseconds")
			for _, h := range want.Headers {
				require.Equal(t, h.Value, m.properties[h.Name], h.Name)
			}
		}
		require.Equal(t, messages[0].batch, messages[2].batch, "they came in one batch")
		require.Positive(t, f.pongs, "pings are answered")
	})
	t.Run("KeysDecideThePartition", func(t *testing.T) { // G6
		t.Parallel()
		f := newFake(t, 3)
		p := f.events(t)
		defer closePublisher(t, p)
		var ids []string
		for i := range 30 {
			ids = append(ids, fmt.Sprintf("entity-%d", i))
		}
		require.NoError(t, p.PublishBatch(t.Context(), newEvents(1, 2, ids...)))
		require.NoError(t, p.PublishBatch(t.Context(), newEvents(3, 4, ids...)))
		where, used := make(map[string]string), make(map[string]bool)
		for _, m := range f.messages() {
			if before := where[m.key]; before != "" {
				require.Equal(t, before, m.partition, m.key)
			}
			where[m.key], used[m.partition] = m.partition, true
		}
		require.Len(t, used, 3)
		for _, id := range ids {
			require.Equal(t, idsOf(id, 1, 4), f.ids(id))
		}
	})
	t.Run("KeySharedIsNotBatched", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, 1)
		p := f.events(t, func(config *pulsar.Config) { config.KeyShared = true })
		defer closePublisher(t, p)
		f.on(func(_ string, messages []stored) deed {
			if len(messages) != 1 {
				t.Errorf("%d messages came in a batch", len(messages))
			}
			return take
		})
		require.NoError(t, p.PublishBatch(t.Context(), newEvents(1, 10, "a", "b", "c")))
		require.Equal(t, idsOf("b", 1, 10), f.ids("b"))
	})
	t.Run("LargeCallsBecomeSeveralBatches", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, 1)
		p := f.events(t)
		defer closePublisher(t, p)
		require.NoError(t, p.PublishBatch(t.Context(), newEvents(1, 2500, "a")))
		require.Equal(t, idsOf("a", 1, 2500), f.ids("a"))
		before := int64(-1)
		for _, m := range f.messages() {
			require.Greater(t, int64(m.sequence), before, "sequence ids ascend")
			before = int64(m.sequence)
		}
	})
}

func TestLostConnections(t *testing.T) {
	t.Parallel()
	once := func(what deed) func(string, []stored) deed {
		var done atomic.Bool
		return func(string, []stored) deed {
			if done.Swap(true) {
				return take
			}
			return what
		}
	}
	for name, c := range map[string]struct {
		what   deed
		dedup  bool
		copies int
	}{
		"BeforeTheBrokerHasIt":            {lose, false, 1},
		"BeforeTheReceipt":                {forget, false, 2},
		"BeforeTheReceiptWithBrokerDedup": {forget, true, 1},
		"BrokerSaysNo":                    {refuse, true, 1},
		"TopicMoves":                      {unload, true, 1},
	} {
		t.Run(name, func(t *testing.T) { // G6
			t.Parallel()
			for _, keyShared := range []bool{false, true} {
				f := newFake(t, 1)
				f.dedup = c.dedup
				p := f.events(t, func(config *pulsar.Config) { config.KeyShared = keyShared })
				defer closePublisher(t, p)
				require.NoError(t, p.PublishBatch(t.Context(), newEvents(1, 2, "a", "b")))
				f.on(once(c.what))
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				require.NoError(t, p.PublishBatch(ctx, newEvents(3, 4, "a", "b")), "it is sent again within the call")
				require.NoError(t, p.PublishBatch(ctx, newEvents(5, 6, "a", "b")))
				for _, id := range []string{"a", "b"} {
					arrived := f.ids(id)
					if c.copies == 1 && !keyShared {
						require.Equal(t, idsOf(id, 1, 6), arrived)
					}
					var firsts []string
					for _, id := range arrived {
						if !slices.Contains(firsts, id) {
							firsts = append(firsts, id)
						}
					}
					require.Equal(t, idsOf(id, 1, 6), firsts)
				}
				if c.copies > 1 && !keyShared {
					require.Greater(t, len(f.messages()), 12, "without deduplication, what had arrived arrives again")
				}
			}
		})
	}
	t.Run("SilentBrokerIsGivenUpWithTheCall", func(t *testing.T) { // G12
		t.Parallel()
		f := newFake(t, 1)
		f.dedup = true
		p := f.events(t)
		defer closePublisher(t, p)
		f.on(func(string, []stored) deed { return ignore })
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, p.PublishBatch(ctx, newEvents(1, 3, "a")), publisher.ErrUnavailable)
		f.on(nil)
		require.Eventually(t, func() bool { return p.PublishBatch(t.Context(), newEvents(1, 3, "a")) == nil }, patience, 20*time.Millisecond)
		require.NoError(t, p.PublishBatch(t.Context(), newEvents(4, 5, "a")))
		require.Equal(t, idsOf("a", 1, 5), f.ids("a"))
	})
	t.Run("MorePartitionsLoseNothing", func(t *testing.T) { // G6
		t.Parallel()
		f := newFake(t, 1)
		f.dedup = true
		p := f.events(t)
		defer closePublisher(t, p)
		require.NoError(t, p.PublishBatch(t.Context(), newEvents(1, 2, "a", "b", "c", "d")))
		f.mu.Lock()
		f.partitions = 4
		f.mu.Unlock()
		f.outage(t)()
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return p.PublishBatch(ctx, newEvents(3, 4, "a", "b", "c", "d")) == nil
		}, patience, 20*time.Millisecond)
		for _, id := range []string{"a", "b", "c", "d"} {
			require.Subset(t, f.ids(id), idsOf(id, 1, 4))
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"TopicNotFound", "AuthorizationError", "TopicTerminatedError"} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 1)
			f.deny(reason)
			p := f.events(t)
			defer closePublisher(t, p)
			err := p.Publish(t.Context(), newEvents(1, 1, "a")[0])
			require.ErrorContains(t, err, reason)
			require.NotErrorIs(t, err, publisher.ErrRejected)
			require.NotErrorIs(t, err, publisher.ErrUnavailable, "it is nobody's fault for sure")
			f.deny("")
			require.NoError(t, p.Publish(t.Context(), newEvents(1, 1, "a")[0]))
		})
	}
	t.Run("ServiceNotReady", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, 1)
		f.deny("ServiceNotReady")
		p := f.events(t)
		defer closePublisher(t, p)
		require.ErrorIs(t, p.Publish(t.Context(), newEvents(1, 1, "a")[0]), publisher.ErrUnavailable)
	})
	t.Run("BrokerTakesLessThanConfigured", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, 1)
		p := f.events(t, func(config *pulsar.Config) { config.MaxMessageBytes = 0 })
		defer closePublisher(t, p)
		large := newEvents(1, 1, "a")[0]
		large.Payload.Value = make([]byte, maxMessageSize+1)
		require.ErrorIs(t, p.Publish(t.Context(), large), publisher.ErrRejected)
		require.NoError(t, p.Publish(t.Context(), newEvents(1, 1, "b")[0]))
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := pulsar.NewEventPublisher(pulsar.Config{MaxMessageBytes: 1})
	require.ErrorContains(t, err, "no URL")
	require.ErrorContains(t, err, "too small")
	_, err = pulsar.NewStatePublisher(pulsar.Config{URL: "http//nothing"})
	require.Error(t, err)
	p, err := pulsar.NewStatePublisher(pulsar.Config{URL: "pulsar://127.0.0.1:1"})
	require.NoError(t, err, "it does not wait for a broker")
	require.Equal(t, "pulsar.states", p.ID())
	require.NoError(t, p.Close(t.Context()))
}
