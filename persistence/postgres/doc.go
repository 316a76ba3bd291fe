// Package postgres is the store for services that run on several nodes: a schema of a PostgreSQL database that holds
// journals, snapshots, durable states, timers, leases, offsets and dead letters, with read models beside it if you like.
//
//	pool, err := pgxpool.New(ctx, "postgres://…")
//	…
//	store := postgres.NewStore(pool)
//	err = store.Migrate(ctx) // at deployment, or at every start
//	err = store.Connect(ctx)
//
// The pool stays the caller's. Any number of stores, processes and schemas ([WithSchema]) may work on one database.
// Everything but [Store.Listen] works through pgbouncer in transaction mode; there the pool must use a mode of the driver
// that keeps no prepared statements (default_query_exec_mode=exec), or a pgbouncer that keeps them, 1.21 or newer.
// docs/operations.md says what each index is for, how large tables become and what to watch.
//
// # Durability
//
// A write returns after its commit, so what was acknowledged survives what the database survives: with the defaults of
// PostgreSQL, a crash of everything but the disk. A role or database with synchronous_commit = off gives that away.
//
// # One statement for each write
//
// A batch of events is one statement, which is a transaction of its own: one round trip, no lock is held while anything
// travels, and a node that is cut off leaves no transaction behind. It finds the first entity whose numbers do not
// continue, locks and advances the counters of the shards, and inserts. The primary key (persistence id, number) is the
// fence: it also stops a writer that was faster than the statement's snapshot shows. The counters make positions gapless,
// and as they stay locked until the commit, positions become visible in order. When the primary key stops a batch, the
// server has rolled it back, and a second statement finds the entity to name.
//
// Columns travel as arrays, as that is as fast as COPY at the sizes that occur, and twice as fast as a pipeline of single
// inserts (BenchmarkBare). Columns that no event of the batch fills cost nothing.
//
// # Outcomes
//
// The server answers ERROR only for a transaction that it has rolled back: such errors say so ([persistence.NotWritten]).
// When the connection is lost after the request was sent, the outcome is unknown, and the error does not claim otherwise.
// A request that never left is sent again on another connection, and so is one that lost a deadlock or a serialization
// conflict. When a context ends, the server is asked to cancel the statement, and its answer counts for half a second
// more: a statement that was cancelled has done nothing, one that was faster has succeeded, and the connection stays
// usable. [Store.Transact] also bounds the transaction on the server by the deadline of its context.
//
// # Locks
//
// In this process: the lifecycle lock of Connect and Disconnect; then the mutex around the session, held for moments.
// On the server, in this order: the rows of leases; counters of shards, rising; states before the counter of their shard.
// Migrations hold an advisory lock. Expiry of leases and claims is measured by the clock of the server.
package postgres
