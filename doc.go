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
// [ErrOutcomeUnknown] it may have taken effect, so only a command that is safe to repeat should be.
package ego
