package kafka_test

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/kafka"
)

// Events of the journal go to a topic of their kind, under the id of their entity. The broker here runs in this process.
func ExampleNewEventPublisher() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "bank.account"))
	if err != nil {
		panic(err)
	}
	defer broker.Close()

	journal := memory.NewStore()
	deposit, err := anypb.New(wrapperspb.Int64(100))
	if err != nil {
		panic(err)
	}
	event := &egopb.Event{PersistenceId: "alice", SequenceNumber: 1, Kind: "account", Payload: deposit}
	if err := journal.WriteEvents(ctx, []*egopb.Event{event}); err != nil {
		panic(err)
	}
	engine := ego.NewEngine("bank", journal)
	events, err := kafka.NewEventPublisher(kafka.Config{
		Brokers: broker.ListenAddrs(),
		Topic:   func(m *publisher.Message) string { return "bank." + m.Kind },
	})
	if err != nil {
		panic(err)
	}
	if err := engine.AddEventPublishers(events); err != nil {
		panic(err)
	}
	if err := engine.Start(ctx); err != nil {
		panic(err)
	}

	consumer, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.ConsumeTopics("bank.account"))
	if err != nil {
		panic(err)
	}
	defer consumer.Close()
	for _, record := range consumer.PollFetches(ctx).Records() {
		fmt.Println(record.Topic, string(record.Key))
	}
	if err := engine.Stop(ctx); err != nil { // closes the publisher
		panic(err)
	}
	// Output: bank.account alice
}
