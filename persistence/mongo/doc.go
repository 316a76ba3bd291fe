// Package mongo keeps journals, snapshots, durable states, timers, leases, offsets and dead letters in a MongoDB database.
//
//	client, err := driver.Connect(options.Client().ApplyURI("mongodb://localhost:27017"))
//	…
//	store := mongo.NewStore(client, "bank")
//	err = store.Migrate(ctx) // once for each release, by any number of processes
//	err = store.Connect(ctx) // the engine's Start does this as well
//
// The client is the caller's (go.mongodb.org/mongo-driver/v2) and stays connected. Any number of processes may work on one
// database. Standalone servers will do: the store needs no transactions, and nothing of a server but that of several inserts
// under one unique key one succeeds. What else a replica set can do is used when there is one: change streams wake consumers
// ([Store.Listen]), and transactions make projections exactly once ([TxHandler]).
//
// # Durability
//
// Writes have the write concern majority with journal, whatever the client is set to, so what was acknowledged survives the
// loss of every minority of a replica set, and on a standalone server a crash of the machine. Reads have the read concern
// majority and go to the primary: a consumer never sees an event that a failover takes back. That positions become visible
// in order rests on both.
//
// # The log
//
// All events are in one log, the collection ego_log. A call of WriteEvents is one document, whatever entities it has events
// of, and its _id is the next number of the log. The insert is the whole write: it is atomic as every insert is, and the
// unique _id lets one writer have a number. A writer has read all documents before the one that it inserts. So it knows the
// last position of every shard, which each document records, and the last number of every entity that it writes to, from
// what it has read or from a look-up. Whoever loses a number reads the document that took it and checks again. Positions are
// thus without a gap and visible in order by construction, and the fence holds between processes with no other index.
//
// A document has at most 16 MB, and so has a call; the engine's batches are far smaller. One process has one insert
// under way; what is called meanwhile waits. Processes that write at the same time lose a number now and then, which costs the
// loser a read and one more insert. One that writes without a rest would win every number, as its next batch is on the way
// before the others have read the last one: a writer that has lost twice asks for a turn, and who writes all the time looks for
// that every 20 ms and waits until it has written.
//
// The newest 16 MB of the log stay in memory, so consumers of a busy process read their events without the server. A reader
// further back finds its place by a binary search over the log and reads on from there by pages, of which the server returns
// only the part of its shard.
//
// # Layout
//
// The documents and indexes have a layout, 1, which Migrate records with the shard count; Connect and Migrate refuse every other
// one. No release has had another yet. Builds from before the first release changed what a register is within layout 1: what an
// operator does who ran one is in docs/operations.md.
//
// # Everything else
//
// A deletion of events is an inserted document that all readers heed, so it counts at once; then the content is taken out of
// the log. A change of a state is a document whose _id is its position and whose entity and revision are unique; the change
// before it loses its content and stays for an hour, so that its numbers stay taken. Lease and offset of a shard of a
// consumer are one register, whose every change is a new document with the next number: a commit under an epoch that has
// passed collides with the change that ended it. Timers are versions, and each attempt to fire one is a document.
//
// # Outcomes
//
// An insert that nothing was heard of is made again, which is safe, as its number can be taken only once: what is found there
// tells the outcome. So most lost connections and elections end in success or in a definite error. When the context ends
// first, or no primary is found, the error leaves the outcome open and [persistence.NotWritten] does not hold. Beneath that,
// the driver's own retries stay on. Calls without a deadline end after 30 seconds.
//
// # Locks
//
// In this order: the lifecycle lock of Connect and Disconnect; the mutex around the session; the slot of the appender, a
// channel that obeys contexts; the slot of the one who reads the end of the log for all; the mutex around what is known
// of the log, which is never held during a call to the server.
//
// Leases and timers run by the clock of the server. A failover to a server whose clock differs lets leases expire early or
// late, which costs a takeover or a wait and nothing else, as epochs keep owners apart.
package mongo
