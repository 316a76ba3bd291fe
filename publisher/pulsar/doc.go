// Package pulsar publishes to Apache Pulsar, with pulsar-client-go. It is a module of its own, so that its client, which brings
// many others, is only built into programs that want it.
//
//	events, err := pulsar.NewEventPublisher(pulsar.Config{URL: "pulsar://pulsar:6650"})
//	…
//	err = engine.AddEventPublishers(events)
//
// The key of a message is the entity, and decides the partition, so the events of an entity lie in one partition in order, as
// long as the topic keeps its partitions; more of them are noticed when a producer is made. Messages have no schema: the
// body is what the encoder made, and its headers are properties.
//
// # Order
//
// A batch is one entry of a topic, which the broker takes or refuses as a whole. So this package sends one round after the
// other: what all shards of the process have gathered meanwhile, up to the size of one batch. In a round a partition gets a
// single batch, and nothing overtakes what was refused. With [Config.KeyShared], for Key_Shared subscriptions, nothing is
// batched and a message of an entity is sent when the one before it is acknowledged.
//
// When a call ends before the broker has answered, its producer is given up with all that it had on its way, and the next call
// gets a new one. What was on its way may arrive later; that is a repeat, behind what it repeats.
//
// # Repeats
//
// Messages have ascending sequence ids under a producer name that lasts as long as the process. A batch that was not
// acknowledged when the connection was lost is sent again, up to twice, under the same id, and a broker with deduplication drops
// it when it has it already. What is published again later, after an outage, a crash or by another process, has new ids and
// arrives twice: consumers tell repeats by the property ego-event-id. Sequence ids are not positions of the journal, because a
// broker drops whatever has a lower id than it has seen, and a dead letter that is published again would have one.
//
// # Errors
//
// A message that is larger than [Config.MaxMessageBytes], or than the broker takes, is rejected. A topic that does not exist,
// was terminated, or may not be written, is whoever's fault the evidence says, see package publisher. Everything else,
// timeouts included, is the broker's.
package pulsar
