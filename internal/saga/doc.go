// Package saga is the functional core of sagas: what a saga decides, what it remembers, and what must be under way because of
// it. It knows neither actors nor sockets.
//
// # The stream
//
// A saga is an event-sourced entity (package entity) whose behaviour is a [Machine]. Its stream in the journal is its inbox
// and its outbox: one input is one step, and what a step decides is appended in one piece, fenced by the saga's numbers.
//
//	input                    records of the step
//	start                    SagaStarted …
//	an event                 SagaEventReceived …
//	the outcome of a command SagaCommandAnswered …
//	a timer                  SagaTimerFired …, or SagaResumed
//	cancel, the deadline     SagaCompensationBegun …
//	retry                    SagaResumed …
//
// where … is what the behaviour decided: events of its own, SagaCommandIssued, SagaTimerSet, SagaTimerCanceled,
// SagaCompleting, SagaCompensationBegun, SagaCompensationPlanned, SagaFinished. The fold of the stream is the [State]. Records
// are events whose payload is a message of ego; they have the persistence id of the saga, which begins with [Prefix]. Consumers
// pass over them ([IsRecord]). The events of the behaviour's own are events as any other.
//
// # Before and after a step
//
//	decide ─► timers of the step ─► append ─► commands of the state
//	(Machine)  (store, at least       (fence)    (Dispatcher: what is unanswered
//	            once, may be orphans)             in the durable state is under way)
//
// Timers go first: a timer that fires for a step that was never stored does nothing, while a step without its timers could be
// forgotten. Commands go last, and they follow from the durable state and not from the step: after each step, and after each
// recovery, whatever is unanswered is handed to the [Dispatcher], which has at most one task per command id. So a crash
// between any two points is resumed by the same code that runs without one.
//
// # Timers in the store
//
//   - "watchdog" is due when the answers of commands are overdue, or long after when the saga only waits. It exists from
//     before the first record until the saga has finished, so a saga that nobody runs is taken up by whoever claims it.
//   - "deadline" is the timeout of the saga.
//   - "timer/<generation>/<name>" is a timer of the behaviour. Setting one anew makes another row, so no row is moved before
//     the step that moves it is stored.
//
// What fires is only a hint: the stream decides. A watchdog, or a timer that the stream does not know, makes the saga append
// SagaResumed. That append succeeds only in a process that knows the whole stream, so no process drops a timer, or sets the
// watchdog, by what it remembers of an older state.
//
// # Events
//
// A consumer (package consumer) offers each event once or more, those of a shard in order. The positions in the stream are
// what deduplicates. An event that leads to nothing is not recorded by itself: that it was offered is part of the next step,
// whatever that is. So every state in the stream is that of a saga that has been offered the events up to its positions and
// no others, and an event that is offered again after a crash meets the state that it met before.
//
// # Compensation
//
// It begins with SagaCompensationBegun. Commands under way are answered first, because what they did is part of what there
// is to take back; the answers change the state by the behaviour's events. Then the behaviour makes its plan, which is
// stored, and the commands of the plan are sent one after the other. A refusal ends it as failed; a retry goes on at the
// command that was refused, under the same command id.
package saga
