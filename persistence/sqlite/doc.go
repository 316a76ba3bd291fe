// Package sqlite is the embedded durable store: one SQLite file that holds journals, snapshots, durable states, timers,
// leases, offsets and dead letters, and read models beside them if you like. It needs no server and no C compiler.
//
//	store, err := sqlite.Open("bank.db")
//	…
//	err = store.Connect(ctx)
//
// Without Connect, the first call of any method connects, and fails with the error of Connect when that fails; so does each
// call after it until one succeeds. The engine's Start asks the store whether it answers, which is such a call. After
// Disconnect only Connect opens the file again.
//
// Any number of goroutines, stores and processes of one machine may work on one file. It must be on a local file system:
// the locks and the shared memory of a write-ahead log do not work over a network.
//
// # Durability
//
// The file has a write-ahead log (WAL) and every connection runs with synchronous=FULL, so a write returns after the log
// was synced to disk (fsync) with everything that it wrote. What was acknowledged survives a crash of the process and of
// the operating system, and a loss of power as far as the disk keeps what it was told to sync. Each write is one
// transaction, which a crash leaves either whole or absent. Every 10,000 pages of log the writer that filled them copies
// them to the file; reads go on meanwhile.
//
// # Layout
//
// Events are clustered by place, an integer made of shard and position: a batch then touches the last page of each shard
// and the pages of one index, and consumers read what lies side by side. The index on (persistence id, number) serves
// recovery, and its uniqueness is the fence between writers; against gaps, the first insert of each entity in a batch takes
// its number from the event before it and fails when there is none. Ids compare by their bytes. There are no counters: whoever
// holds the write lock finds the last position of a shard as the highest place in its range, and the tombstones that stay
// of deleted events keep it right. An event's row holds the protobuf record besides what queries need: a column for each
// field was as fast to write, but a fifth slower to replay.
//
// All writes of a store go through one connection and begin with BEGIN IMMEDIATE, so that what they check stays true
// until they commit, whichever process else wants to write. Reads use a small pool of read-only connections. Long reads
// go by pages and leave no transaction open between two of them, as an open one would keep the log from being recycled.
//
// # Outcomes
//
// Before COMMIT nothing is written, and every error says so ([persistence.NotWritten]). COMMIT is never interrupted. When
// it fails, the code of the error tells whether the log may hold the transaction all the same, as after a failed sync. If
// it may, the store writes once more: a commit that succeeds overwrites what the failed one left, and the same transaction
// sees whether events or state are there. When that fails too, or the context ends while COMMIT waits for the disk, the
// error leaves the outcome open.
//
// # Locks
//
// In this order: the lifecycle lock of Connect and Disconnect; the mutex around the session, held for moments; the slot of
// the writer, a channel that hands it on in the order of asking and obeys contexts; SQLite's write lock on the file, tried
// again for as long as [WithBusyTimeout] says. Connections are only made by database/sql. The file is never opened in
// another way, and must not be by the rest of the process while a store is connected: closing any descriptor of it drops
// the POSIX locks of all.
//
// Leases and timers run by the clock of the machine. A clock that is set forward lets leases expire early, which costs a
// takeover and nothing else, as epochs keep owners apart.
package sqlite
