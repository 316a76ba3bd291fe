package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/actorkeep/ego/publisher"
)

// The defaults of [Config].
const (
	DefaultEventTopic      = "ego.events"
	DefaultStateTopic      = "ego.states"
	DefaultMaxMessageBytes = 1_000_012 // that of Kafka's brokers
)

// Config is what a publisher needs. Only the brokers are required.
type Config struct {
	// Brokers are addresses, host:port, of some of the brokers.
	Brokers []string

	// ID is the ID of the publisher. The default is "kafka.events" or "kafka.states".
	ID string

	// Topic returns the topic of a message. It must always return the same for the messages of one entity, or they lose
	// their order. The default is "ego.events" or "ego.states" for all.
	Topic func(m *publisher.Message) string

	// Encoder makes the messages. The default is publisher.Protobuf.
	Encoder publisher.Encoder

	// MaxMessageBytes is what the topics take, their max.message.bytes: larger messages are rejected, and no batch is
	// larger. The default is 1,000,012.
	MaxMessageBytes int32

	// Options configure the client: TLS, SASL, compression, timeouts. What the guarantees rest on, acknowledgements and
	// flushing, cannot be changed.
	Options []kgo.Opt
}

func (c *Config) validate() error {
	var problems []error
	if len(c.Brokers) == 0 {
		problems = append(problems, errors.New("kafka: there are no brokers"))
	}
	if c.MaxMessageBytes < 0 || c.MaxMessageBytes > 0 && c.MaxMessageBytes < 512 {
		problems = append(problems, fmt.Errorf("kafka: messages of %d bytes are too small for anything", c.MaxMessageBytes))
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
