// Package persistence is the contract between ego and the stores it keeps its records in.
//
// A store implements one or more of [EventsStore], [SnapshotStore], [StateStore] and [TimerStore], and usually
// offsetstore.OffsetStore and offsetstore.DeadLetterStore as well, over one connection. The conformance suite in
// package persistencetest holds a store to what this page says; a store that passes it can be put under ego.
//
// # Words
//
// An entity is named by its persistence id, a non-empty string that is compared by its bytes. Its journal is the events
// 1, 2, 3 … of that entity. Every entity belongs to one shard, [ShardOf] its id; the shard count is chosen when the store
// is created and never changes. Within a shard every event has a position: 1, 2, 3 … over all entities of the shard.
//
// # What every store must do
//
//   - Return from a write with nil only after the data is durable by the store's own standard: it must survive what the
//     store is documented to survive.
//   - Write all or nothing. After any error that [NotWritten] reports true for, nothing of the call may be visible, then
//     or later. After every other error the caller assumes that the outcome is unknown and reads it back.
//   - Check sequence numbers (or the revision) against the stored ones in the same transaction that writes, and answer a
//     mismatch with [ConflictError]. This fence is what keeps two activations of one entity from forking its journal, so
//     it must hold between processes as well as between goroutines.
//   - Assign positions inside the writing transaction such that they are gapless and become visible in order: whoever
//     has read position p of a shard must never see anything appear at or below p later.
//   - Never keep a slice, map or message that the caller passed in, and return only what the caller may keep and modify.
//   - Obey the context: a call whose context ends must return soon after, with an error that matches the context's
//     error. A write that is cut off that way must say truthfully whether [NotWritten] holds.
//   - Accept any number of concurrent calls.
//   - Answer [ErrNotConnected] to every call but Connect and Disconnect from Disconnect to the next Connect. A store that
//     was never connected must do the same, or connect by itself at its first call. Connect and Disconnect must be
//     idempotent, and Connect must be possible again after Disconnect.
//   - Refuse at Connect, with [ShardCountError], to work on data that was written with another shard count.
//
// # What a store should do
//
//   - Write the events of one call in one round trip; ego hands over events of many entities at once.
//   - Stream replays in pages, so that memory does not grow with the length of a journal.
//   - Tell a definite failure from an unknown outcome with [DefinitelyNotWritten] wherever it can: callers may then retry
//     at once.
package persistence
