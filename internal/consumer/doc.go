// Package consumer is the one way to read the journal: it runs projections, publishers and saga subscriptions, over events
// and over the latest states of durable-state entities. It knows neither actors nor sockets; its time is that of package
// time, so it runs in a testing/synctest bubble.
//
//	Source ── Feed ──► worker ── read ─ check order ─ open ─ filter ─ Sink ─ commit the offset
//	            ▲         ▲                                            └ retry, skip, park or stop
//	  commits, hints,   Lease ◄── keeper (renews), roster (who else), Consumer.balance (how many)
//	  polls
//
// # Ownership
//
// A shard of a consumer is worked on by whoever has its lease (see package offsetstore for the protocol). Nobody coordinates:
//
//   - A process that runs a consumer leases a seat in the roster, which is a consumer of its own, for as long as it runs it.
//     One question for the leases of the roster tells every process who shares what. From the sorted members each computes
//     the same split of the shards.
//   - A process with more than its share drains workers: they finish the event they are at, record the offset and give the
//     lease back. One with less looks for shards that are free, often, until it has its share.
//   - A process that dies gives nothing back. Its seat and its leases run out together, before [Config.LeaseTime] is over,
//     and the others find both.
//
// The keeper renews all leases of a process in one call, from a goroutine of its own, so a slow handler loses nothing. A
// lease is counted from before it was asked for, so it ends in this process before it ends in the store; a timer then
// cancels the context that handlers run with, whatever the keeper and the store are busy with. What a handler says after
// that is not held against an event. If all of this fails, as it does in a process that was stopped for a while, the store
// refuses the commit of an old epoch.
//
// A shard is not taken again while a worker of this process is still at it, for instance in a handler that does not end with
// its context.
//
// # What is delivered
//
// Every record above the offset at least once, in the order of the shard; with a [TransactionalSink] its effects once. A
// gapless source must continue with position+1, tombstones included. When it does not, the shard stops with a [GapError],
// and stays stopped, because nothing this process could do would tell what is missing.
//
// A page of records is handled and then its offset committed, beside the next page if the window of the consumer is larger
// than a page: one commit is in flight at a time, and what is handled meanwhile is recorded by the next. A crash repeats what
// is above the offset, at most the window.
//
// With parallelism, the window slides: records wait by entity, each lane takes an entity that no other lane is at, and the
// offset moves up to the first record that is not done. It is recorded when it has moved by a page, when it keeps the window
// from moving on, when everything is handled, and otherwise ten times a second. A slow entity keeps its lane and holds the
// offset back; the others go on until the window is full. When a lane fails, the others end after their record.
//
// # Failures
//
// An error of a store, or an [Unavailable] one of a sink, is nobody's fault: the worker waits, a second at first and half a
// minute at last, and tries again until it succeeds. An error or a panic of a handler is a failure of that record, and the
// policy decides. So is the end of the goroutine that a handler runs in (runtime.Goexit): handlers run in goroutines that can
// be lost, one for a page or a lane. A worker that has failed for good keeps its lease, so that the failure stays where [Group.Health] and
// [Consumer.Status] tell of it, and is not passed on from process to process.
//
// Parking makes the dead letter durable under the lease's epoch before the offset moves past it. The worker knows which
// entities have dead letters, from the store when it starts, and parks what follows of them unhandled. After a crash between
// the two, records above the offset come again whose letters are stored already: their entity counts as parked, so they are
// parked again in the same place, and nothing is lost or handled out of order.
//
// # Cost
//
// What a process asks the store while nothing happens does not depend on how many consumers it runs: the heads of all
// shards once per pull interval, the roster and the renewal of all leases several times per lease time.
//
// # Locks
//
// The lock of a group, of a consumer, of a worker, of a feed, of the keeper and of the roster each guard their own maps.
// Group before feed, and consumer before worker; no other two are held at once, and none while a store, a sink or a handler
// is called.
package consumer
