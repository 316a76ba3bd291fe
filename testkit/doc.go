// Package testkit tests behaviours without an engine and without a store: given what has happened, when a command comes,
// then this follows.
//
//	func TestWithdraw(t *testing.T) {
//		testkit.New(t, account.New("ann")).
//			Given(&bankpb.AccountOpened{Owner: "Ann"}, &bankpb.Credited{Amount: 10}).
//			When(&bankpb.Debit{Amount: 4}).
//			ThenEvents(&bankpb.Debited{Amount: 4}).
//			ThenState(&bankpb.Account{Owner: "Ann", Balance: 6}).
//			When(&bankpb.Debit{Amount: 7}).
//			ThenRejected(account.InsufficientFunds).
//			ThenState(&bankpb.Account{Owner: "Ann", Balance: 6})
//	}
//
// [New] tells about an [ego.EventSourcedBehavior], [NewDurableState] about an [ego.DurableStateBehavior]. A scenario goes on
// with what its last step has left, and it ends the test at the first step that fails. What differs is shown field by field:
//
//	account_test.go:14: ThenState after bank.v1.Debit: the state differs:
//	    balance: want 6, got 5
//
// # What a command comes to
//
// A command is handled as in an engine, and a failed one gives the error that the caller of [ego.Engine.SendCommand]
// gets, a [ego.CommandError]. That covers handlers that panic, events that are nil and events that HandleEvent refuses or
// returns no state for. A failed command changes nothing. The scenario must expect the error, by [Scenario.ThenError] or
// [Scenario.ThenRejected], before it says anything else about the command; an error that nobody expects fails the test, at
// its end at the latest.
//
// # What every scenario checks
//
// Some mistakes work in a simple test and harm in an engine. They fail the test in any scenario, at the step that shows
// them, and no ThenError can expect them:
//
//   - A handler modifies the command, the state or the event that it was given, or a message that it returned before.
//   - A command, event or state is not the same after it was marshalled and read back, for example for text that is not
//     UTF-8 or a type that is not linked into the program.
//   - The events of the entity lead to another state when they are folded again, as they are whenever it recovers: HandleEvent
//     depends on the clock, on chance, on the context, on fields of the behaviour, or on the order of a map.
//   - The id or the initial state of the behaviour changes.
//   - The arrangement is wrong: HandleEvent refuses an event given as having happened, or a message is nil.
//
// The command handler is called once for a command. HandleEvent is called more than once for an event.
package testkit
