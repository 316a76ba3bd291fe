package persistencetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/actorkeep/ego/persistence"
)

const (
	maxCalls      = math.MaxInt
	enteredBuffer = 4096 // signals that nobody has received yet; later ones are dropped
)

// A Rule says what happens to calls of one operation. It is made by [Faults.On]: first say which calls it takes, with
// [Rule.Nth], [Rule.First] or [Rule.From], else it takes all; then what happens to them. Several rules for one operation
// all apply, in the order in which they were made, until one of them fails the call.
//
// A fault before the call leaves the store as it was; the error does not say so unless it is wrapped with
// [persistence.DefinitelyNotWritten], so the code under test must take the outcome for unknown. A fault after the commit
// is the loss of an acknowledgement: the write is done, and the caller is told otherwise.
type Rule struct {
	faults    *Faults
	operation string

	// Guarded by the lock of faults.
	first, last int // calls that the rule takes
	calls       int // calls since the rule was made
	action      action

	entered  chan struct{}
	released chan struct{} // closed when calls are no longer held
	once     sync.Once
}

// An action is what happens to a call. The zero action does nothing.
type action struct {
	when  moment
	err   error
	delay time.Duration
	hold  bool
	items int // for afterItems
}

type moment int

const (
	beforeCall moment = iota
	afterCommit
	afterItems
)

// Nth takes the nth call only, counted from one and from when the rule was made.
func (r *Rule) Nth(n int) *Rule { return r.between(n, n) }

// First takes the first n calls.
func (r *Rule) First(n int) *Rule { return r.between(1, n) }

// From takes the nth call and all after it.
func (r *Rule) From(n int) *Rule { return r.between(n, maxCalls) }

func (r *Rule) between(first, last int) *Rule {
	if first < 1 || last < 1 {
		panic("persistencetest: calls are counted from one")
	}
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	r.first, r.last = first, last
	return r
}

// Fail fails the call before it reaches the store.
func (r *Rule) Fail(err error) *Rule { return r.set(action{when: beforeCall, err: err}) }

// FailAfterCommit lets the call through and then fails it: the write is done, and its acknowledgement is lost. A call that
// the store itself fails keeps the error of the store.
func (r *Rule) FailAfterCommit(err error) *Rule { return r.set(action{when: afterCommit, err: err}) }

// FailAfterItems fails ReplayEvents or DeadLetters in the middle, instead of yielding item n+1. A sequence with fewer
// items does not fail.
func (r *Rule) FailAfterItems(n int, err error) *Rule {
	if !slices.Contains([]string{"ReplayEvents", "DeadLetters"}, r.operation) {
		panic(fmt.Sprintf("persistencetest: %s returns no sequence", r.operation))
	}
	return r.set(action{when: afterItems, items: n, err: err})
}

// Delay holds the call for a time before it reaches the store. When its context ends first, the call fails with the error
// of the context, and the store is never reached.
func (r *Rule) Delay(d time.Duration) *Rule { return r.set(action{when: beforeCall, delay: d}) }

// Block holds calls before they reach the store, until the function that it returns, or [Faults.Clear], is called. When the
// context of a call ends first, the call fails with the error of the context, and the store is never reached. Calls that
// come after the release pass.
func (r *Rule) Block() (release func()) {
	r.set(action{when: beforeCall, hold: true})
	return r.release
}

// BlockAfterCommit is [Rule.Block] between the commit and its acknowledgement. When the context of a call ends first, the
// call fails with the error of the context although the write is done.
func (r *Rule) BlockAfterCommit() (release func()) {
	r.set(action{when: afterCommit, hold: true})
	return r.release
}

// Entered returns a channel with a value for each call at the moment the rule takes hold of it: a test waits for it before
// it does what must happen during the call.
func (r *Rule) Entered() <-chan struct{} { return r.entered }

func (r *Rule) set(a action) *Rule {
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	r.action = a
	return r
}

func (r *Rule) release() { r.once.Do(func() { close(r.released) }) }

// takes counts a call and reports whether the rule takes it. The lock of faults is held.
func (r *Rule) takes(operation string) bool {
	if r.operation != operation && r.operation != AnyOperation {
		return false
	}
	r.calls++
	return r.first <= r.calls && r.calls <= r.last
}

// at returns the action when it is due at a moment.
func (r *Rule) at(when moment) (action, bool) {
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	return r.action, r.action.when == when
}

func (r *Rule) before(ctx context.Context) error {
	a, ok := r.at(beforeCall)
	if !ok {
		return nil
	}
	err := r.apply(ctx, a)
	if a.err != nil {
		return err // as it was given
	}
	return persistence.DefinitelyNotWritten(err)
}

func (r *Rule) after(ctx context.Context) error {
	a, ok := r.at(afterCommit)
	if !ok {
		return nil
	}
	return r.apply(ctx, a)
}

// item is called before the item of a sequence with an index is yielded.
func (r *Rule) item(index int) error {
	a, ok := r.at(afterItems)
	if !ok || index < a.items {
		return nil
	}
	r.signal()
	return a.err
}

// apply carries an action out.
func (r *Rule) apply(ctx context.Context, a action) error {
	r.signal()
	switch {
	case a.hold:
		return wait(ctx, r.released)
	case a.delay > 0:
		timer := time.NewTimer(a.delay)
		defer timer.Stop()
		return wait(ctx, timer.C)
	default:
		return a.err
	}
}

func wait[T any](ctx context.Context, until <-chan T) error {
	select {
	case <-until:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Rule) signal() {
	select {
	case r.entered <- struct{}{}:
	default:
	}
}
