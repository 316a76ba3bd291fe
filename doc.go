// Package ego is an embeddable framework for event-sourced services on the GoAkt actor runtime.
//
// A service describes its entities as behaviours: plain Go over protobuf messages. An [EventSourcedBehavior] decides which
// events a command causes and how an event changes the state; ego keeps the events in a store, hands each entity one
// command at a time, and answers only once the events are durable.
//
//	engine := ego.NewEngine("bank", store, ego.WithKinds(
//		ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return NewAccount(id) }),
//	))
//	if err := engine.Start(ctx); err != nil { … }
//	defer engine.Stop(ctx)
//
//	err := engine.Entity(ctx, NewAccount("alice"))
//	account, revision, err := ego.Ask[*bankpb.Account](ctx, engine, "alice", &bankpb.Credit{Amount: 100}, time.Second)
//
// Beside entities an engine runs what follows of their events. Projections ([WithProjection]) build read models, publishers
// ([Engine.AddEventPublishers]) hand events to brokers, sagas ([Engine.Saga]) carry business transactions over several
// entities, [Engine.ScheduleCommand] sends a command later, and [Engine.Subscribe] follows the journal. All of them read the
// journal by position and remember in the store how far they have come. [WithCluster] shares the entities out over nodes.
// Behaviours are tested with package testkit, without an engine.
//
// # Lifecycle
//
// The program connects the store and disconnects it; the engine uses it. [Engine.Start] validates everything and reports all
// problems at once. [Engine.Stop] answers what was accepted and returns when all that the engine runs has ended. Both may be
// repeated, and all methods are safe for concurrent use. Behaviours are called for one command at a time of their entity, and
// must not change what they are given.
//
// # Guarantees
//
// A command that was answered with success is durable. The journal of an entity has one writer per number: however many
// activations of it are alive, in one process or several, the store lets one of them write each event, and the others
// answer [ErrConflict] and recover. When the outcome of a write cannot be known, the caller is told so with
// [ErrOutcomeUnknown], and the entity reads the truth from the store before it goes on. docs/guarantees.md lists every
// promise with the tests that prove it.
//
// # Errors
//
// A command that a behaviour refuses fails with [CommandError]. Every other failure of a command is an [EntityError] that
// names the entity and the command and matches one of the sentinels of this package, which say what the caller may do:
// after [ErrConflict] and [ErrWriteFailed] nothing has happened and the command may be sent again; after
// [ErrOutcomeUnknown] it may have taken effect, so only a command that is safe to repeat should be: one with an id
// ([WithCommandID]), which an entity handles once.
//
// # Defaults
//
// Entities leave the memory after 2 minutes without a command, remember 128 command ids, take no snapshots and keep all
// events. A write to the store may take 5 seconds, a recovery 2 minutes, and a lease of a projection or publisher lasts
// 10 seconds. Nothing is encrypted, logged or measured unless an option says so.
package ego
