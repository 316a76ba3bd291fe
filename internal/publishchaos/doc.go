// Package publishchaos holds the test that treats publishing as badly as it can: processes write events and share a publisher
// on one store, and they and the broker, a process of its own, are killed and started again at random moments. A checker then
// compares what the broker holds with the journal: every event at least once, and the first arrivals of an entity in order.
//
//	make chaos-publish CHAOS=2m          # prints its seed
//	make chaos-publish CHAOS=2m SEED=7   # the same random choices again
//
// The brokers are a NATS server with JetStream, which keeps what it acknowledged across kill -9, and kfake, which speaks Kafka's
// protocol and keeps its data in files.
package publishchaos
