package nats_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/publisher/nats"
)

// Events of the journal go to a JetStream stream, which tells repeats by the id of the event. The server here runs in this
// process.
func ExampleNewEventPublisher() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "ego-nats")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory
	broker, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir})
	if err != nil {
		panic(err)
	}
	broker.Start()
	defer broker.WaitForShutdown()
	defer broker.Shutdown()
	if !broker.ReadyForConnections(time.Minute) {
		panic("the server is not ready")
	}
	conn, err := natsgo.Connect(broker.ClientURL())
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		panic(err)
	}
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "BANK", Subjects: []string{"ego.events.>"}})
	if err != nil {
		panic(err)
	}

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
	events, err := nats.NewEventPublisher(nats.Config{Conn: conn})
	if err != nil {
		panic(err)
	}
	if err := engine.AddEventPublishers(events); err != nil {
		panic(err)
	}
	if err := engine.Start(ctx); err != nil {
		panic(err)
	}

	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{})
	if err != nil {
		panic(err)
	}
	message, err := consumer.Next(jetstream.FetchMaxWait(time.Minute))
	if err != nil {
		panic(err)
	}
	fmt.Println(message.Subject(), message.Headers().Get(natsgo.MsgIdHdr))
	if err := engine.Stop(ctx); err != nil { // closes the publisher
		panic(err)
	}
	// Output: ego.events.account alice/1
}
