// Package egoactor runs entities as GoAkt actors, one actor per entity, and is the only package besides the root that
// knows GoAkt.
//
// Requests do not travel in GoAkt's mailboxes. Every entity has a [Cell] with a queue of its own; the actor is told a
// single wake-up whenever the queue goes from empty to filled, and then drains the queue. That costs one message per burst
// instead of one per command, and no request can be lost when an actor stops, since GoAkt drops what is left in a mailbox.
//
// A cell goes through these stages:
//
//	starting ── spawned ──► open ◄──► running ── idle or stopped ──► closed ──► gone
//
// Requests may be queued from the start. A closed cell takes no more of them; whoever holds one waits until it is gone
// from the host and asks the host again. A cell only closes while its queue is empty and its actor at rest, which the
// lock of the cell decides, so a request can never fall between two activations.
//
// # Locks
//
// The lock of a host's shard guards the map from ids to cells; the lock of a cell guards its queue and stage. Neither is
// held while the other is taken, nor while user code, GoAkt or a store is called.
package egoactor
