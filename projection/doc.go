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
package projection
