package kafka_test

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/kafka"
	"github.com/actorkeep/ego/publisher/publishertest"
)

const partitions = 3

// A cluster is a fake of Kafka that speaks its protocol and keeps what it took in files.
type cluster struct {
	fake  *kfake.Cluster
	addrs []string
	opts  []kfake.Opt
}

func newCluster(t testing.TB, opts ...kfake.Opt) *cluster {
	t.Helper()
	c := &cluster{opts: append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.DefaultNumPartitions(partitions), kfake.SeedTopics(partitions, kafka.DefaultEventTopic, kafka.DefaultStateTopic),
		kfake.DataDir(t.TempDir()), kfake.SyncWrites(),
	}, opts...)}
	c.start(t)
	t.Cleanup(func() { c.fake.Close() })
	return c
}

func (c *cluster) start(t testing.TB) {
	t.Helper()
	opts := c.opts
	if len(c.addrs) > 0 {
		var ports []int
		for _, addr := range c.addrs {
			port, err := strconv.Atoi(addr[strings.LastIndexByte(addr, ':')+1:])
			require.NoError(t, err)
			ports = append(ports, port)
		}
		opts = append(slices.Clip(opts), kfake.Ports(ports...))
	}
	fake, err := kfake.NewCluster(opts...)
	require.NoError(t, err)
	c.fake, c.addrs = fake, fake.ListenAddrs()
}

func (c *cluster) outage(t testing.TB) func() {
	t.Helper()
	c.fake.Close()
	var once sync.Once
	return func() { once.Do(func() { c.start(t) }) }
}

func (c *cluster) events(t testing.TB, change ...func(config *kafka.Config)) *kafka.EventPublisher {
	t.Helper()
	config := kafka.Config{Brokers: c.addrs}
	for _, f := range change {
		f(&config)
	}
	p, err := kafka.NewEventPublisher(config)
	require.NoError(t, err)
	return p
}

func (c *cluster) states(t testing.TB) *kafka.StatePublisher {
	t.Helper()
	p, err := kafka.NewStatePublisher(kafka.Config{Brokers: c.addrs})
	require.NoError(t, err)
	return p
}

// records returns all that the topics hold.
func (c *cluster) records(t testing.TB, topics ...string) (records []*kgo.Record) {
	t.Helper()
	var left int64
	for _, topic := range topics {
		for _, p := range c.fake.PartitionInfos(topic) {
			left += p.HighWatermark
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addrs...), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	for int64(len(records)) < left {
		fetches := client.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		records = append(records, fetches.Records()...)
	}
	return records
}

func headerOf(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func (c *cluster) received(t testing.TB) []publishertest.Received {
	t.Helper()
	return receivedOf(c.records(t, kafka.DefaultEventTopic, kafka.DefaultStateTopic))
}

func receivedOf(records []*kgo.Record) (received []publishertest.Received) {
	for _, r := range records {
		received = append(received, publishertest.Received{ID: headerOf(r, publisher.HeaderEventID), Key: string(r.Key), Body: r.Value})
	}
	return received
}

func TestConformance(t *testing.T) {
	t.Parallel()
	publishertest.Run(t, func(t testing.TB) publishertest.Broker {
		c := newCluster(t)
		return publishertest.Broker{
			Events:    func(t testing.TB) publisher.EventPublisher { return c.events(t) },
			States:    func(t testing.TB) publisher.StatePublisher { return c.states(t) },
			Received:  c.received,
			Outage:    c.outage,
			Oversized: kafka.DefaultMaxMessageBytes + 1,
		}
	})
}

// TestBroker is the conformance on real brokers, where EGO_TEST_KAFKA_BROKERS names some, separated by commas. Each broker of
// the suite is a topic of its own, which is deleted afterwards.
func TestBroker(t *testing.T) {
	t.Parallel()
	brokers := os.Getenv("EGO_TEST_KAFKA_BROKERS")
	if brokers == "" {
		t.Log("EGO_TEST_KAFKA_BROKERS names no brokers, so there is only kfake")
		return
	}
	testBrokers(t, strings.Split(brokers, ","))
}

// TestBrokersByAddress runs what TestBroker does on the brokers of a fake, so that it is known to work.
func TestBrokersByAddress(t *testing.T) {
	t.Parallel()
	testBrokers(t, newCluster(t).addrs)
}

func testBrokers(t *testing.T, addrs []string) {
	publishertest.Run(t, func(t testing.TB) publishertest.Broker {
		topic := newTopic(t, addrs)
		config := kafka.Config{Brokers: addrs, Topic: func(*publisher.Message) string { return topic }}
		return publishertest.Broker{
			Events: func(t testing.TB) publisher.EventPublisher {
				p, err := kafka.NewEventPublisher(config)
				require.NoError(t, err)
				return p
			},
			States: func(t testing.TB) publisher.StatePublisher {
				p, err := kafka.NewStatePublisher(config)
				require.NoError(t, err)
				return p
			},
			Received:  func(t testing.TB) []publishertest.Received { return receivedOf(readTopic(t, addrs, topic)) },
			Oversized: kafka.DefaultMaxMessageBytes + 1,
		}
	})
}

// newTopic makes a topic of a random name.
func newTopic(t testing.TB, addrs []string) (topic string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	topic = "ego-test-" + rand.Text()
	request := kmsg.NewPtrCreateTopicsRequest()
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = topic, partitions, 1
	request.Topics = append(request.Topics, wanted)
	created, err := request.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(created.Topics[0].ErrorCode))
	t.Cleanup(func() {
		request := kmsg.NewPtrDeleteTopicsRequest()
		request.TopicNames = []string{topic}
		gone := kmsg.NewDeleteTopicsRequestTopic()
		gone.Topic = &topic
		request.Topics = append(request.Topics, gone)
		_, _ = request.RequestWith(context.Background(), client)
	})
	return topic
}

// readTopic reads a topic from its beginning to where it ends now.
func readTopic(t testing.TB, addrs []string, topic string) (records []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	for partition := range int32(partitions) {
		of := kmsg.NewListOffsetsRequestTopicPartition()
		of.Partition, of.Timestamp = partition, -1 // the end
		asked.Partitions = append(asked.Partitions, of)
	}
	request.Topics = append(request.Topics, asked)
	var left int64
	for _, shard := range client.RequestSharded(t.Context(), request) {
		require.NoError(t, shard.Err)
		for _, of := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			require.NoError(t, kerr.ErrorForCode(of.ErrorCode))
			left += of.Offset
		}
	}
	for int64(len(records)) < left {
		fetches := client.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		records = append(records, fetches.Records()...)
	}
	return records
}

func closePublisher(t testing.TB, p *kafka.EventPublisher) {
	t.Helper()
	require.NoError(t, p.Close(context.Background()))
}
