package saga

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

// The defaults of a retry policy.
const (
	DefaultAttempts     = 8
	defaultTimeout      = 5 * time.Second
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
		if rest := time.Until(t.quiet); t.unknown && rest > 0 {
			return rest // an attempt under way may still meet a state of the entity that does not refuse it
		}
		settled = true
	case InDoubt:
		t.doubt(true)
		t.doubts++
		settled = retry.GetMaxUnknown() > 0 && t.doubts >= int(retry.GetMaxUnknown())
	case NoEffect:
		t.attempts++
		settled = !t.unknown && (draining || t.exhausted())
	case Unwanted: // the dispatcher has dropped it
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

// doubt notes that an attempt may have had an effect, or may be under way elsewhere until its timeout.
func (t *task) doubt(so bool) {
	if so {
		t.unknown = true
		t.quiet = time.Now().Add(AttemptTimeout(t.Command))
	}
}

// AttemptTimeout returns how long one attempt to send a command takes at most. Any but the first in the process that has
// issued the command begins with the question whether the saga still waits for it, so once a process has taken a saga over,
// no attempt of another one is under way for longer.
func AttemptTimeout(command *egopb.SagaCommand) time.Duration {
	if t := command.GetTimeout().AsDuration(); t > 0 {
		return t
	}
	return defaultTimeout
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
