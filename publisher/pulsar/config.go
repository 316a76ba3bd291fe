package pulsar

import (
	"errors"
	"fmt"

	"github.com/apache/pulsar-client-go/pulsar"

	"github.com/actorkeep/ego/publisher"
)

// The defaults of [Config].
const (
	DefaultEventTopic      = "persistent://public/default/ego.events"
	DefaultStateTopic      = "persistent://public/default/ego.states"
	DefaultMaxMessageBytes = 5 << 20 // that of Pulsar's brokers
)

// minMessageBytes is what headers alone may need.
const minMessageBytes = 4 << 10

// Config is what a publisher needs. Only the URL is required.
type Config struct {
	// URL is that of the cluster: pulsar://host:6650 or pulsar+ssl://host:6651, with several hosts separated by commas.
	URL string

	// ClientOptions configure the client: authentication, TLS, timeouts, logger, metrics. The URL in them is ignored. Unless
	// they say otherwise the client logs nothing, registers its metrics with nobody, and waits 10 seconds for an
	// operation.
	ClientOptions pulsar.ClientOptions

	// Producer changes the options of the producers: compression, encryption, properties. What the guarantees rest on, name,
	// batching, routing and timeouts, is set afterwards. The default changes nothing.
	Producer func(options *pulsar.ProducerOptions)

	// ID is the ID of the publisher. The default is "pulsar.events" or "pulsar.states".
	ID string

	// Topic returns the topic of a message. It must always return the same for the messages of one entity, or they lose
	// their order. The default is "persistent://public/default/ego.events" or "….states" for all.
	Topic func(m *publisher.Message) string

	// Encoder makes the messages. The default is publisher.Protobuf.
	Encoder publisher.Encoder

	// MaxMessageBytes is what the brokers take, their maxMessageSize: larger messages are rejected, and no batch is larger.
	// The default is 5 MiB.
	MaxMessageBytes int

	// KeyShared is for topics with Key_Shared subscriptions. Such a subscription hands a batch to the consumer of its first
	// key, so messages are not batched then, and those of one entity wait for each other. What is sent again after a connection
	// was lost has new sequence ids then, so the broker does not drop it as a repeat.
	KeyShared bool
}

func (c *Config) validate() error {
	var problems []error
	if c.URL == "" {
		problems = append(problems, errors.New("pulsar: there is no URL"))
	}
	if c.MaxMessageBytes < 0 || c.MaxMessageBytes > 0 && c.MaxMessageBytes < minMessageBytes {
		problems = append(problems, fmt.Errorf("pulsar: messages of %d bytes are too small for anything", c.MaxMessageBytes))
	}
	return errors.Join(problems...)
}

func (c *Config) withDefaults(id, topic string) Config {
	d := *c
	if d.ID == "" {
		d.ID = id
	}
	if d.Topic == nil {
		d.Topic = func(*publisher.Message) string { return topic }
	}
	if d.Encoder == nil {
		d.Encoder = publisher.Protobuf()
	}
	if d.MaxMessageBytes == 0 {
		d.MaxMessageBytes = DefaultMaxMessageBytes
	}
	return d
}
