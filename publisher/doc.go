// Package publisher is what a program says about its publishers, and the contract of those who write one.
//
// A publisher hands the events of the journal, or the latest durable states, to a broker. It is a consumer of the journal
// under its ID, as a projection is under its name: it reads by position, remembers durably how far it has come, and shares
// the shards with the other processes that run it. So an event that was committed is published, whatever crashes and
// however long the broker is down. Events arrive at least once, and those of one entity in order: first arrivals are in the
// order of the journal, and repeats come after a crash, an outage, or when another process takes over. [EventID] is the same
// every time.
//
//	engine.AddEventPublishers(kafka, publisher.WithOptions(nats, publisher.Options{FromNow: true}))
//
// Packages publisher/kafka, publisher/nats, publisher/websocket and the module publisher/pulsar have publishers.
//
// # Errors
//
// What follows of an error depends on whose fault it is:
//
//   - [Reject]: the event's. It is parked in the dead-letter store, with those of its entity that follow, and everything else
//     goes on. [Options] can say otherwise. A panic counts as a rejection.
//   - [Unavailable]: the broker's. The shard waits, a second at first and half a minute at last, and tries again for as long
//     as it takes; status and health say so. Nothing is parked, skipped or lost.
//   - Any other error, or a timeout, may be either. It counts as the broker's until there is proof that the broker works:
//     the event fails again and again while an event of another entity is taken. To find out, the next event of another
//     entity is published ahead. Only then the event is parked. So an outage parks nothing, whatever a publisher says about
//     it, and an event that no broker takes holds nobody up for ever.
//
// # Formats
//
// An [Encoder] makes a [Message] of an event: [Protobuf], [JSON], or CloudEvents in binary or structured mode, see
// [CloudEvents]. Id, type, entity, number, time, correlation and trace context travel as headers whatever the body is.
//
// # Writing one
//
// Implement [EventPublisher], and [EventBatchPublisher] when the broker likes batches. Package publishertest checks that it
// keeps the contract.
package publisher
