package pulsar_test

import (
	"context"
	"fmt"
	"time"

	client "github.com/apache/pulsar-client-go/pulsar"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/pulsar"
)

// A publisher with a topic for each kind, and compression. There is no broker here, so the publisher waits for one.
func ExampleNewEventPublisher() {
	ctx := context.Background()
	engine := ego.NewEngine("bank", memory.NewStore())
	events, err := pulsar.NewEventPublisher(pulsar.Config{
		URL:      "pulsar://127.0.0.1:1",
		Topic:    func(m *publisher.Message) string { return "persistent://public/bank/" + m.Kind },
		Producer: func(options *client.ProducerOptions) { options.CompressionType = client.ZLib },
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
	status, err := engine.PublisherStatus(ctx, "pulsar.events")
	fmt.Println(status.State, err)

	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	fmt.Println(engine.Stop(ctx)) // closes the publisher
	// Output:
	// running <nil>
	// <nil>
}
