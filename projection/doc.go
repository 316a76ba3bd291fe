// Package projection is what a program says about its projections and sees of them.
//
// A projection reads the events of the journal in the order of their shards and hands them to a [Handler], which builds a
// read model of them. It has a name, under which it remembers how far it has come in every shard; [Options] say what it
// reads and what happens when its handler fails. The engine runs it:
//
//	engine := ego.NewEngine("bank", store, ego.WithProjection("balances", &projection.Options{
//		Handler:  projection.HandlerFunc(func(ctx context.Context, event *projection.Event) error { … }),
//		Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park)),
//	}))
//
// # What a handler can rely on
//
// It sees every event of its filter at least once, those of one entity in order. After a crash, or when another process
// takes over, it sees again what it had handled since the last offset that was recorded: a handler that cannot bear that
// writes its read model and the offset in one transaction, with the TxHandler of the store, or keeps the highest
// [Event.SequenceNumber] per entity.
//
// Its context ends when this process can no longer prove that it owns the shard. Another process may then be at work on the
// same events, so the handler should end as well; whatever it returns is not held against the event.
//
// # When a handler fails
//
// An error, a panic and runtime.Goexit are failures of the event. The [Recovery] says what follows: the shard stops ([Fail],
// the default), tries again, leaves the event out ([Skip]), or sets it aside with those of its entity that come after it
// ([Park]), until Engine.RetryDeadLetters or Engine.DiscardDeadLetters. A shard that stopped says why in [Status], in the health
// of the engine and in its metrics; the other shards go on. Failures of the store or of a key store are nobody's event: the
// shard waits and tries again.
//
// # Defaults
//
// A projection begins with the first event ([Options.StartFrom] and [Options.FromNow] say otherwise), reads batches of 500 and
// asks the store ten times a second for what it was not told of. The events of a shard are handled one after another unless
// [Options.Parallelism] says how many entities may be handled side by side. The engine joins what is wrong with the options to
// the error of its Start.
package projection
