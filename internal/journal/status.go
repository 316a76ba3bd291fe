package journal

import (
	"fmt"
	"time"
)

// A Status is the condition of a journal at one moment.
type Status struct {
	// FailingSince is when the first of the writes failed that have failed since the last one the store answered, and
	// FailingWith is the error of the newest. A refusal for a conflict or an invalid record is no failure of the store.
	FailingSince time.Time
	FailingWith  error

	InFlight time.Duration // age of the oldest write in flight; 0 without one
	Stuck    bool          // that write has outlived its timeout and the grace

	PendingAppends, PendingEvents, PendingBytes int // gathered for the next writes
	WaitingAppends                              int // waiting for room among the pending

	Stopped bool
}

// Err returns why the journal is not healthy: an error that matches [ErrStuck], [ErrStopped] or what the store said last.
// It is nil for a healthy journal.
func (s Status) Err() error {
	switch {
	case s.Stuck:
		return fmt.Errorf("%w: in flight for %v", ErrStuck, s.InFlight)
	case s.Stopped:
		return ErrStopped
	case s.FailingWith != nil:
		return fmt.Errorf("journal: failing since %s: %w", s.FailingSince.Format(time.RFC3339), s.FailingWith)
	default:
		return nil
	}
}

// Status returns the condition of the journal.
func (j *Journal) Status() Status {
	now := j.clock.now()
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Status{
		FailingSince:   j.failing.since,
		FailingWith:    j.failing.err,
		PendingAppends: j.gathered.appends,
		PendingEvents:  j.gathered.events,
		PendingBytes:   j.gathered.bytes,
		WaitingAppends: j.waiting.appends,
		Stopped:        j.stopped,
	}
	if j.flight.active {
		s.InFlight = max(now-j.flight.started, 1)
		s.Stuck = s.InFlight >= j.patience()
	}
	if started := j.direct.oldest(); started > 0 {
		s.InFlight = max(s.InFlight, now-started, 1)
		s.Stuck = s.InFlight >= j.patience()
	}
	return s
}

// record takes the end of a write into the status. The lock is held.
func (j *Journal) record(outcome Outcome, err error) {
	j.failing.record(outcome, err)
	j.troubled.Store(j.failing.err != nil)
}

// A failure is a row of failed writes.
type failure struct {
	since time.Time
	err   error
}

func (f *failure) record(outcome Outcome, err error) {
	switch {
	case outcome != Unknown && outcome != NotWritten:
		if f.err != nil {
			*f = failure{}
		}
	case f.err == nil:
		f.since, f.err = time.Now(), err
	default:
		f.err = err
	}
}
