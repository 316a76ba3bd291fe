package saga

import (
	"time"

	"google.golang.org/protobuf/proto"
)

// The defaults of a retry policy.
const (
	DefaultAttempts     = 8
	defaultInitialDelay = 100 * time.Millisecond
	defaultMaxDelay     = 5 * time.Second
	lastDeliveryDelay   = 5 * time.Second
)

// judge takes the outcome of an attempt. It sets the outcome of the task when that is settled, else it returns when the
// next attempt is due.
//
// A command of which nobody knows whether it took effect is sent again, under its id, until that is known, unless the policy
// says otherwise: a saga that gave it up could neither go on nor take it back. One that certainly had no effect is tried as
// often as the policy says; once, when the saga only waits to compensate; for ever, when it takes something back and there
// is no policy.
func (t *task) judge(state proto.Message, verdict Verdict, failure error, draining bool) (wait time.Duration) {
	retry := t.Command.GetRetry()
	settled := false
	switch verdict {
	case Succeeded:
		t.outcome = NewResult(t.Command, state, nil)
		return 0
	case Refused:
		settled = true
	case InDoubt:
		t.unknown = true
		t.doubts++
		settled = retry.GetMaxUnknown() > 0 && t.doubts >= int(retry.GetMaxUnknown())
	case NoEffect:
		t.attempts++
		settled = !t.unknown && (draining || t.exhausted())
	}
	if settled {
		t.outcome = NewResult(t.Command, nil, failure)
		t.outcome.Checked = t.unknown
		return 0
	}
	first, last := defaultInitialDelay, defaultMaxDelay
	if d := retry.GetInitialDelay().AsDuration(); d > 0 {
		first = d
	}
	if d := retry.GetMaxDelay().AsDuration(); d > 0 {
		last = d
	}
	return backoff(first, last, t.attempts+t.doubts)
}

// exhausted reports whether the policy allows no further attempt.
func (t *task) exhausted() bool {
	attempts := int(t.Command.GetRetry().GetMaxAttempts())
	if attempts <= 0 {
		if t.Compensating {
			return false
		}
		attempts = DefaultAttempts
	}
	return t.attempts >= attempts
}

// backoff returns the wait after a number of attempts: it doubles from the first to the last.
func backoff(first, last time.Duration, attempts int) time.Duration {
	wait := first
	for i := 1; i < attempts && wait < last; i++ {
		wait *= 2
	}
	return min(wait, max(first, last))
}
