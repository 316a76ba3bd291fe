// Package nats publishes to NATS: to JetStream, or to core NATS when nobody needs the broker to keep anything.
//
//	events, err := nats.NewEventPublisher(nats.Config{URL: "nats://nats:4222"})
//	…
//	err = engine.AddEventPublishers(events)
//
// Streams are the operator's: there must be one that takes the subjects. Every message has a Nats-Msg-Id that is made of its
// event's id, so a repeat within the stream's duplicate window is dropped by the broker.
//
// # Order
//
// JetStream takes or loses each message by itself, so one of two messages on their way may be lost and the later one taken.
// A message of an entity is therefore sent when the one before it is acknowledged; those of different entities are on
// their way together, up to [Config.InFlight].
//
// # Errors
//
// A message that is larger than the server or the stream takes is rejected. A subject that no stream takes is whoever's fault
// the evidence says, see package publisher. Everything else, timeouts included, is the broker's.
//
// # Defaults
//
// Events go to the subject ego.events. and their kind, states to ego.states. and theirs, in protobuf's binary form; the
// publishers are called nats.events and nats.states, under which they remember what they have published.
package nats
