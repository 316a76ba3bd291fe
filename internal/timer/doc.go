// Package timer fires the durable timers of a [persistence.TimerStore]. It knows neither actors nor what timers are for:
// what a timer means is up to the handler of its kind.
//
//	Schedule ─ gather ─► store ◄─ claim a batch ─ loop ─► handlers ─ complete
//	                      ▲  when is the next due? ─┘
//
// # Guarantees
//
// A timer fires at least once, at or after its due time by the clock of the process that fires it. It is claimed first, so
// one process fires it; when that process dies, or the handler fails, the claim runs out and another one does. A timer that
// was set anew while it fired is not taken for done: its version says so. Clocks only decide when a timer fires; a clock
// that jumps back makes timers late and loses none.
//
// # Cost
//
// Nothing is kept in memory but the batch that is being fired. The loop sleeps until the earliest due time that the store
// knows, at most [Config].Poll, because another process may have set an earlier one; a timer that this process sets wakes
// it. While a timer that is due is claimed by somebody, the store cannot tell when the next one is, so the loop looks again
// after [Config].Busy.
//
// Timers set at the same time gather while a write is in flight and are written together, as events are in package journal,
// and so are those removed that fire at the same time.
//
// # Locks
//
// The locks of the gatherer, the completer, the sweeper and the loop each guard their own fields; none is held while the store or a
// handler is called.
package timer
