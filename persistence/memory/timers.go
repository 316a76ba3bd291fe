package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// ScheduleTimers implements [persistence.TimerStore].
func (s *Store) ScheduleTimers(ctx context.Context, timers []*egopb.Timer) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	encoded := make([][]byte, len(timers))
	for i, timer := range timers {
		if err := checkTimer(timer); err != nil {
			return err
		}
		data, err := encode(timer.GetOwner(), timer)
		if err != nil {
			return err
		}
		encoded[i] = data
	}
	s.timers.mu.Lock()
	defer s.timers.mu.Unlock()
	for i, timer := range timers {
		s.timers.put(timer.GetOwner(), timer.GetName(), timer.GetDueUnixNano(), encoded[i])
	}
	return nil
}

func checkTimer(timer *egopb.Timer) error {
	if timer == nil {
		return &persistence.InvalidRecordError{Reason: "the timer is nil"}
	}
	if err := persistence.CheckID(timer.GetOwner()); err != nil {
		return err
	}
	if timer.GetName() == "" {
		return &persistence.InvalidRecordError{PersistenceID: timer.GetOwner(), Reason: "the name of the timer is empty"}
	}
	return nil
}

// CancelTimers implements [persistence.TimerStore].
func (s *Store) CancelTimers(ctx context.Context, owner string, names ...string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.timers.mu.Lock()
	defer s.timers.mu.Unlock()
	if len(names) == 0 {
		for _, timer := range s.timers.ofOwner(owner) {
			s.timers.remove(timer)
		}
		return nil
	}
	for _, name := range names {
		if timer := s.timers.owners[owner][name]; timer != nil {
			s.timers.remove(timer)
		}
	}
	return nil
}

// ClaimTimers implements [persistence.TimerStore]. Timers that are due at the same time come in byte order of their
// owners and names.
func (s *Store) ClaimTimers(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if limit < 1 || claim <= 0 {
		return nil, fmt.Errorf("%w: limit %d and claim %v must be positive", persistence.ErrInvalidArgument, limit, claim)
	}
	s.timers.mu.Lock()
	clock := time.Now()
	records := s.timerRecords(s.timers.claim(now.UnixNano(), clock, clock.Add(claim), limit))
	s.timers.mu.Unlock()
	return decodeTimers(records)
}

// CompleteTimer implements [persistence.TimerStore].
func (s *Store) CompleteTimer(ctx context.Context, owner, name string, version uint64) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.timers.mu.Lock()
	defer s.timers.mu.Unlock()
	if timer := s.timers.owners[owner][name]; timer != nil && timer.version == version {
		s.timers.remove(timer)
	}
	return nil
}

// CompleteTimers implements [persistence.TimerBatchStore].
func (s *Store) CompleteTimers(ctx context.Context, timers []*egopb.Timer) error {
	return s.eachClaimed(ctx, timers, s.timers.remove)
}

// ReleaseTimers implements [persistence.TimerBatchStore].
func (s *Store) ReleaseTimers(ctx context.Context, timers []*egopb.Timer) error {
	return s.eachClaimed(ctx, timers, s.timers.release)
}

// eachClaimed does something with the timers whose claims still hold.
func (s *Store) eachClaimed(ctx context.Context, timers []*egopb.Timer, do func(*timer)) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.timers.mu.Lock()
	defer s.timers.mu.Unlock()
	for _, t := range timers {
		known := s.timers.owners[t.GetOwner()][t.GetName()]
		if known != nil && known.version == t.GetVersion() && known.attempts == t.GetAttempts() {
			do(known)
		}
	}
	return nil
}

// OwnerTimers implements [persistence.TimerStore].
func (s *Store) OwnerTimers(ctx context.Context, owner string) ([]*egopb.Timer, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	s.timers.mu.Lock()
	records := s.timerRecords(s.timers.ofOwner(owner))
	s.timers.mu.Unlock()
	return decodeTimers(records)
}

// NextTimer implements [persistence.TimerStore].
func (s *Store) NextTimer(ctx context.Context) (time.Time, bool, error) {
	if err := s.ready(ctx); err != nil {
		return time.Time{}, false, err
	}
	s.timers.mu.Lock()
	defer s.timers.mu.Unlock()
	due, ok := s.timers.earliest()
	if !ok {
		return time.Time{}, false, nil
	}
	return time.Unix(0, due), true, nil
}

// timerRecords returns the timers as they are now.
func (s *Store) timerRecords(timers []*timer) []timerRecord {
	records := make([]timerRecord, len(timers))
	for i, t := range timers {
		records[i] = timerRecord{persistence.ShardOf(t.owner, s.shards), t.version, t.attempts, t.data}
	}
	return records
}

func decodeTimers(records []timerRecord) ([]*egopb.Timer, error) {
	timers := make([]*egopb.Timer, len(records))
	for i, record := range records {
		timer, err := record.timer()
		if err != nil {
			return nil, err
		}
		timers[i] = timer
	}
	return timers, nil
}
