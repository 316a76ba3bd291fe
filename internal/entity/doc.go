// Package entity is the functional core of an entity: it recovers from the store, decides commands, folds events, writes
// and answers. It knows neither actors nor sockets: something else calls [Entity.Process], one call at a time.
//
// A command goes through it like this:
//
//	take ─ recover (when cold) ─ repeat? ─ decide (HandleCommand) ─ fold a candidate (HandleEvent) ─ pack ─┐
//	answer ─ the candidate becomes the memory ─────────────────────────────── store (fenced, durable) ◄───┘
//
// Memory is only ever what the store holds. Whenever that could be in doubt, the entity goes cold: it forgets everything
// and recovers from the store before the next command. It does so after a conflict (another writer was first), after any
// other failed write (its outcome may be unknown), and after a handler that panicked or broke its contract (the state in
// memory may be tainted). A refused command changes nothing.
//
// An answer is handed over exactly once by the phase of its [Request]; a caller that gives up learns from the phase
// whether its command can still take effect.
package entity
