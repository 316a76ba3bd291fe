// Package memory is a store that keeps everything in the memory of the process.
//
// A [Store] implements every interface that ego stores through. What was written stays for as long as the Store value
// is reachable: Disconnect and Connect do not touch it, so a test can stop an engine and start another on the same
// store. Nothing survives the process. It is meant for tests, for benchmarks and for services whose entities may be
// forgotten.
//
// Records are kept as serialized bytes, never as the messages of the caller. The events of a shard stand one after
// another in append-only segments; deleting events frees their memory segment by segment.
//
// # Locks
//
// Each shard of the journal has a lock; a write takes those of its shards in ascending order, and below them the lock of
// the list of ids. States, snapshots, timers, consumers and keys have one lock each, and no call holds two of them.
// Records are encoded before a lock is taken and decoded after it was released, and no lock is held while a caller's loop
// runs.
package memory
