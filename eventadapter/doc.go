// Package eventadapter gives events that were stored in the past the shape of today when they are read. What is stored
// never changes.
//
//	ego.WithEventAdapters(
//		eventadapter.Rename("bank.v1.Paid", "bank.v1.Debited"),
//		eventadapter.Upcast(func(old *bankpb.Credited) (*bankpb.CreditedV2, error) {
//			return &bankpb.CreditedV2{Cents: 100 * old.GetAmount()}, nil
//		}),
//		eventadapter.Split(func(old *bankpb.Moved) ([]proto.Message, error) { … }),
//		eventadapter.Drop("bank.v1.Noticed"),
//	)
//
// Adapters apply wherever an event is opened: recovery, history and time travel, projections, publishers and sagas.
//
// # Order
//
// An event passes every adapter once, in the order given. An adapter takes the events of its type and versions and lets all
// others pass; what it makes passes the adapters after it. So the steps of one type stand in the order of their history:
// first what turns V1 into V2, then what turns V2 into V3, and a new step is added at the end. [NewChain], and so the start
// of an engine, refuses a chain with steps that turn in a circle, that nothing can reach, that stand before what leads to
// them, or that end in a type which is not linked into the program.
//
// # Versions
//
// When the meaning of a message changes and its type does not, the type cannot tell old events from new ones. The schema
// version can: ego.WithEventVersion stores one with every event of a kind. An adapter restricted with [Versions] takes
// events of those versions; when it keeps the type, its results have the version after the last of them.
//
// # One, none or many
//
// An event may become any number of events. They share its number, position, time and metadata. An entity folds them one
// after another, at one revision; an event that was dropped leaves its number and changes nothing.
//
// # Failure
//
// An adapter that returns an error or panics fails the reader of that event with an [Error], visibly, and nothing else: an
// entity does not recover, a projection stops or does what its policy says. The next read tries again.
package eventadapter
