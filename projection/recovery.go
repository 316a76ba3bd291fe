package projection

import (
	"fmt"
	"time"
)

// A RecoveryPolicy says what happens to an event whose handler failed.
type RecoveryPolicy int

const (
	// Fail stops the shard before the event; its other shards go on. The projection counts as failed, and says why, until
	// it is stopped and started again.
	Fail RecoveryPolicy = iota
	// RetryAndFail is Fail after the retries have failed as well.
	RetryAndFail
	// Skip leaves the event out and goes on.
	Skip
	// RetryAndSkip is Skip after the retries have failed as well.
	RetryAndSkip
	// Park puts the event into the dead-letter store, after the retries if [WithRetries] gives it any, and goes on. Later
	// events of the same entity are parked behind it unhandled, so their order is kept.
	Park
)

// String returns the name of the policy.
func (p RecoveryPolicy) String() string {
	names := [...]string{"Fail", "RetryAndFail", "Skip", "RetryAndSkip", "Park"}
	if p < 0 || int(p) >= len(names) {
		return fmt.Sprintf("RecoveryPolicy(%d)", int(p))
	}
	return names[p]
}

// The defaults of [NewRecovery].
const (
	DefaultRetries    = 5
	DefaultRetryDelay = time.Second
)

// Recovery says what happens when a handler fails. Make it with [NewRecovery].
type Recovery struct {
	policy  RecoveryPolicy
	retries int // below zero: not said
	delay   time.Duration
}

// A RecoveryOption configures a [Recovery].
type RecoveryOption interface{ apply(r *Recovery) }

type recoveryOption func(r *Recovery)

func (o recoveryOption) apply(r *Recovery) { o(r) }

// NewRecovery returns a recovery that stops the shard at the first failure, unless told otherwise.
func NewRecovery(opts ...RecoveryOption) *Recovery {
	r := &Recovery{retries: -1, delay: DefaultRetryDelay}
	for _, opt := range opts {
		opt.apply(r)
	}
	return r
}

// WithRecoveryPolicy sets the policy. The default is [Fail].
func WithRecoveryPolicy(policy RecoveryPolicy) RecoveryOption {
	return recoveryOption(func(r *Recovery) { r.policy = policy })
}

// WithRetries sets how often an event is tried again before the policy takes its course. The default is 5 for
// [RetryAndFail] and [RetryAndSkip] and none for [Park]; [Fail] and [Skip] never retry.
func WithRetries(n uint) RecoveryOption {
	return recoveryOption(func(r *Recovery) { r.retries = int(min(n, 1<<30)) })
}

// WithRetryDelay sets the time between two tries. The shard waits meanwhile. The default is a second.
func WithRetryDelay(d time.Duration) RecoveryOption {
	return recoveryOption(func(r *Recovery) { r.delay = d })
}

// Policy returns the policy.
func (r *Recovery) Policy() RecoveryPolicy { return r.policy }

// Retries returns how often an event is tried again.
func (r *Recovery) Retries() int {
	switch {
	case r.policy == Fail || r.policy == Skip:
		return 0
	case r.retries >= 0:
		return r.retries
	case r.policy == Park:
		return 0
	default:
		return DefaultRetries
	}
}

// RetryDelay returns the time between two tries.
func (r *Recovery) RetryDelay() time.Duration { return r.delay }

func (r *Recovery) validate() error {
	switch {
	case r == nil:
		return nil
	case r.policy < Fail || r.policy > Park:
		return fmt.Errorf("projection: %v is no recovery policy", r.policy)
	case r.delay < 0:
		return fmt.Errorf("projection: retry delay %v is below zero", r.delay)
	default:
		return nil
	}
}
