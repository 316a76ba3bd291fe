// Package sqlite is the embedded durable store: one file, no server. It implements every store interface of ego on one
// [Store], through database/sql and the pure Go driver modernc.org/sqlite.
//
// # Durability
//
// The file is in WAL mode with synchronous=FULL: a commit returns after its part of the write-ahead log was synced, so what
// was acknowledged survives the death of the process and a power failure, as far as the disk keeps its word.
//
// # Layout
//
// Events are clustered by place, one integer made of shard and position, and have one more index, over entity and number.
// Reading a shard is a scan of neighbours, appending goes to the end of each shard's range, and the unique index is the
// fence that lets one writer have each number. There is no counter of positions: whoever holds the write lock of the file
// sees the highest place of a shard, and deleting an event leaves a tombstone row in its place, so positions are gapless
// and numbers are never used again. States move to the next place of their shard with each change.
//
// # Connections and locks
//
// Writes go one at a time through one connection that begins each transaction by taking the write lock of the file; reads
// use a small pool of read-only connections, which never block the writer. Several processes, and several stores of one
// process, may work on one file: they take turns for the write lock, which a [Store] waits for as long as [WithBusyTimeout]
// says.
//
// Store.lifecycle is held by Connect and Disconnect and taken before Store.mu, which only guards the pointer to the open
// session. A session's slot is held by the one who uses the writer, from before BEGIN until after COMMIT or ROLLBACK;
// nothing else is locked meanwhile.
//
// # Outcomes
//
// The statements of a write run without the caller's context, which is asked between them instead, so an interrupted
// driver never leaves open what became of a transaction. A COMMIT that fails is followed by a transaction that makes its
// outcome certain and reads it. Only when even that is impossible, or when the context ends while COMMIT still runs, does
// the caller get an error for which persistence.NotWritten does not hold.
package sqlite
