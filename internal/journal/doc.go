// Package journal is the group commit in front of a store: it turns the appends of many entities into few writes.
//
// # Protocol
//
// Where writes cost next to nothing, as in a store in memory, gathering costs more than it saves. While the average
// write takes less than 20 µs, appenders write for themselves and beside each other, a few at a time; all that follows is
// about the others, and about stores whose writes are worth sharing.
//
// One such write is in flight at a time. An append that finds none in flight is written at once, by the goroutine that
// called [Journal.Append]: a lone caller pays for no hand-over, no timer and no batch. Appends that come meanwhile
// gather in the order of their arrival. When the write ends and appends have gathered, a background writer takes over: it
// writes all that has gathered as one call to the store, bounded by [Config].MaxEvents and MaxBytes, answers, and goes on
// until nothing is left, so no appender is kept from its answer by writing for others. Between two writes it lets those
// it has answered run first: they come back for more and fill the next batch. An append is atomic: it is never split over
// two writes.
//
//	Append ──idle──▶ write in the caller ──▶ answer
//	   │                    │ others have gathered
//	   │                    ▼
//	   └─busy─▶ gathered ─▶ background writer: take ▶ write ▶ settle ▶ answer ─┐
//	              ▲  ▲         ▲                        │ refused              │
//	              │  └─────────┼──── rest of the batch ─┘                      │
//	      room ───┘            └───────────────────────────────────────────────┘
//
// # Answers
//
// What the store says decides about the appends of the write:
//
//   - nil: all are durable. [Config].OnCommit has run before the first of them is answered.
//   - A conflict or an invalid record that names an entity fails the appends with events of that entity. The rest goes
//     back to the head of the gathered appends, in order, and is written again without them.
//   - Appends of one entity that meet in one batch are one chain while each continues the numbers of the one before it,
//     and a chain fails as a whole, so no part of it is written without what it was decided on. Where the numbers do not
//     continue, which is where two activations of the entity race, the batch is cut and the later one is written
//     after the earlier, to be judged by the fence of the store.
//   - A conflict or an invalid record that names no entity of the batch is narrowed down by halving, until it is the
//     refusal of a single append. Then the batches grow again, twofold each.
//   - Any other error for which [persistence.NotWritten] is true fails all appends of the write with that error.
//   - Every other error, and a panic of the store, fails all of them with [ErrOutcomeUnknown]. The journal itself never
//     retries those: only the appender can find out what became of its events.
//
// An append that the store was never called for is definitely not written, and its error says so to
// [persistence.NotWritten]: it was withdrawn because its context ended, refused because the journal stopped or because a
// write is stuck.
//
// # Time
//
// Each write has a context of its own, without values, bounded by [Config].WriteTimeout: an appender that goes away must
// not cut the write of others. An appender whose context ends is withdrawn from the gathered appends; when its
// write is already in flight it waits for the end of that write.
//
// A store must obey the context of a write. A write that lasts longer than the timeout plus a second of grace is stuck:
// its gathered appenders are answered with [ErrOutcomeUnknown], and until it returns everything else is refused with
// [ErrStuck], definitely not written, so that nothing waits for it for ever. The journal does not start another write
// beside a stuck one, as that would let calls pile up in a store that does not answer. The one who cannot be answered is
// an appender that performs the stuck write itself: it returns when the store does.
//
// # Ownership
//
// The journal reads an appender's events until Append returns, and no longer, except after [ErrOutcomeUnknown]: the store
// may still be reading them then, so they must not be reused.
//
// # Locks and goroutines
//
// Journal.mu guards everything below it in the struct; nothing blocks while it is held, and the hooks of [Config] run
// without it. The direct writes are counted in slots that are taken and given back without a lock. Two kinds of goroutine exist, and
// [Journal.Stop] waits for both: the background writer, which lives while appends are gathered, and the watchdog's timer
// function, which looks at the write in flight at most once per timeout.
//
// Whoever set busy under the lock is the one writer. It alone uses limit and the two buffers, until it clears busy, which
// it does only when nothing is gathered: therefore appends are gathered only while a writer exists, and none is forgotten.
package journal
