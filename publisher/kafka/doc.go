// Package kafka publishes to Kafka, with franz-go.
//
//	events, err := kafka.NewEventPublisher(kafka.Config{
//		Brokers: []string{"kafka:9092"},
//		Topic:   func(m *publisher.Message) string { return "bank." + m.Kind },
//	})
//	…
//	err = engine.AddEventPublishers(events)
//
// The producer is idempotent and waits for all in-sync replicas. The key of a record is the entity, so the events of an
// entity lie in one partition, as long as the topic keeps its partitions, in order.
//
// # Order
//
// A Kafka client has several batches of a partition on their way, and when the broker refuses one of them those behind it
// arrive all the same. So this package sends one round after the other: what all shards of the process have gathered
// meanwhile, up to the size of one batch. In a round a partition gets a single batch, which the broker takes or refuses as
// a whole, so that nothing overtakes what was refused.
//
// # Errors
//
// A record that is too large, or that the broker calls invalid, is rejected. A topic that does not exist, or may not be
// written, is whoever's fault the evidence says, see package publisher. Everything else, timeouts included, is the broker's.
//
// # Defaults
//
// Everything goes to the topic ego.events, or ego.states, in protobuf's binary form; the publishers are called kafka.events and
// kafka.states, under which they remember what they have published. A configuration that is wrong, or without brokers, is an
// error of [NewEventPublisher]; a broker that cannot be reached is not, and waited for.
package kafka
