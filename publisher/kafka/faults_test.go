package kafka_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/kafka"
)

func newEvents(id string, from, to uint64) (events []*egopb.Event) {
	for number := from; number <= to; number++ {
		events = append(events, &egopb.Event{
			PersistenceId: id, SequenceNumber: number, Kind: "account", CorrelationId: "cause", TimeUnixNano: int64(number),
			Payload: &anypb.Any{TypeUrl: "type.googleapis.com/bank.v1.Deposited", Value: make([]byte, 100)},
			Trace:   &egopb.TraceContext{Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		})
	}
	return events
}

// numbers returns the ids of an entity's records in the order of their partition.
func (c *cluster) numbers(t testing.TB, id string) (numbers []string) {
	t.Helper()
	for _, r := range c.records(t, kafka.DefaultEventTopic) {
		if string(r.Key) == id {
			numbers = append(numbers, headerOf(r, publisher.HeaderNumber))
		}
	}
	return numbers
}

func TestBrokerErrors(t *testing.T) {
	t.Parallel()
	produce := []kmsg.Key{kmsg.Produce}

	t.Run("RetriableOnesAreRetriedInOrder", func(t *testing.T) { // G6
		t.Parallel()
		c := newCluster(t)
		p := c.events(t)
		defer closePublisher(t, p)
		for _, err := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend} {
			c.fake.Fault(kfake.Fault{Keys: produce, Err: err, Count: 2})
		}
		require.NoError(t, p.PublishBatch(t.Context(), newEvents("a", 1, 20)))
		require.NoError(t, p.PublishBatch(t.Context(), newEvents("a", 21, 40)))
		var want []string
		for number := range 40 {
			want = append(want, fmt.Sprint(number+1))
		}
		require.Equal(t, want, c.numbers(t, "a"), "the producer is idempotent: repeats are dropped")
	})
	t.Run("RefusedBatchIsRefusedWhole", func(t *testing.T) { // G6
		t.Parallel()
		c := newCluster(t)
		p := c.events(t)
		defer closePublisher(t, p)
		require.NoError(t, p.PublishBatch(t.Context(), newEvents("a", 1, 1)))
		c.fake.Fault(kfake.Fault{Keys: produce, Err: kerr.MessageTooLarge})
		require.ErrorIs(t, p.PublishBatch(t.Context(), newEvents("a", 2, 200)), publisher.ErrRejected)
		require.Equal(t, []string{"1"}, c.numbers(t, "a"), "nothing may overtake what was refused")
		for _, event := range newEvents("a", 2, 4) {
			require.NoError(t, p.Publish(t.Context(), event))
		}
		require.Equal(t, []string{"1", "2", "3", "4"}, c.numbers(t, "a"))
	})
	t.Run("MissingTopicIsNobodysFaultForSure", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		p := c.events(t, func(config *kafka.Config) { config.Topic = func(*publisher.Message) string { return "missing" } })
		defer closePublisher(t, p)
		err := p.Publish(t.Context(), newEvents("a", 1, 1)[0])
		require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
		require.NotErrorIs(t, err, publisher.ErrRejected)
		require.NotErrorIs(t, err, publisher.ErrUnavailable)
	})
	t.Run("LeaderThatMovesIsFoundSoon", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, kfake.NumBrokers(3))
		p := c.events(t)
		defer closePublisher(t, p)
		require.NoError(t, p.PublishBatch(t.Context(), newEvents("a", 1, 5)))
		for partition := range int32(partitions) {
			leader := c.fake.LeaderFor(kafka.DefaultEventTopic, partition)
			require.NoError(t, c.fake.MoveTopicPartition(kafka.DefaultEventTopic, partition, (leader+1)%3))
		}
		began := time.Now()
		require.NoError(t, p.PublishBatch(t.Context(), newEvents("a", 6, 10)))
		require.Less(t, time.Since(began), 10*time.Second)
		require.Len(t, c.numbers(t, "a"), 10)
	})
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "ann", "secret"))
	p := c.events(t, func(config *kafka.Config) {
		config.Options = []kgo.Opt{kgo.SASL((plain.Auth{User: "ann", Pass: "secret"}).AsMechanism())}
	})
	defer closePublisher(t, p)
	require.NoError(t, p.PublishBatch(t.Context(), newEvents("a", 1, 3)))
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := kafka.NewEventPublisher(kafka.Config{MaxMessageBytes: 1})
	require.ErrorContains(t, err, "no brokers")
	require.ErrorContains(t, err, "too small")
	_, err = kafka.NewStatePublisher(kafka.Config{Brokers: []string{"x"}, Options: []kgo.Opt{kgo.MetadataMinAge(-1)}})
	require.Error(t, err)
}

// TestIndependentClient reads back with kcat, which is built on librdkafka.
func TestIndependentClient(t *testing.T) {
	t.Parallel()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		require.Empty(t, os.Getenv("EGO_REQUIRE_SERVICES"), "kcat is missing: apt-get install kcat")
		t.Log("kcat is missing, so nothing independent reads back: apt-get install kcat")
		return
	}
	c := newCluster(t)
	p := c.events(t, func(config *kafka.Config) {
		config.Encoder, err = publisher.CloudEvents("/bank", publisher.CloudEventsBinary)
		require.NoError(t, err)
	})
	defer closePublisher(t, p)
	require.NoError(t, p.PublishBatch(t.Context(), append(newEvents("a", 1, 3), newEvents("b", 1, 2)...)))
	out, err := exec.CommandContext(t.Context(), kcat, "-b", c.addrs[0], "-C", "-t", kafka.DefaultEventTopic, "-e", "-q",
		"-f", "%k %S %h\\n").Output()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, 5)
	of := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.HasPrefix(line, "a ") })
	for i, line := range of {
		require.True(t, strings.HasPrefix(line, "a 100 "), line)
		for _, header := range []string{
			"ce_specversion=1.0", fmt.Sprintf("ce_id=a/%d", i+1), "ce_source=/bank", "ce_type=bank.v1.Deposited", "ce_subject=a",
			"content-type=application/protobuf", "ce_correlationid=cause", "ce_traceparent=00-0af7",
		} {
			require.Contains(t, line, header)
		}
	}
}
