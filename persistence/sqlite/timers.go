package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

const (
	selectHighestVersion = `SELECT timer_version FROM ego_meta`
	updateHighestVersion = `UPDATE ego_meta SET timer_version = max(timer_version, ?)`
	selectVersion        = `SELECT version FROM ego_timers WHERE owner = ? AND name = ?`
	upsertTimer          = `INSERT INTO ego_timers (owner, name, due, version, attempts, claimed_until, record)
		VALUES (?, ?, ?, ?, 0, 0, ?)
		ON CONFLICT DO UPDATE SET due = excluded.due, version = excluded.version, attempts = 0, claimed_until = 0,
			record = excluded.record`

	deleteTimers  = `DELETE FROM ego_timers WHERE owner = ?`
	deleteTimer   = `DELETE FROM ego_timers WHERE owner = ? AND name = ?`
	completeTimer = `DELETE FROM ego_timers WHERE owner = ? AND name = ? AND version = ?`

	completeClaimed = `DELETE FROM ego_timers WHERE owner = ? AND name = ? AND version = ? AND attempts = ?`
	releaseTimer    = `UPDATE ego_timers SET claimed_until = 0 WHERE owner = ? AND name = ? AND version = ? AND attempts = ?`

	selectDueTimer = `SELECT 1 FROM ego_timers WHERE due <= ? AND claimed_until <= ? LIMIT 1`
	claimTimers    = `UPDATE ego_timers SET attempts = attempts + 1, claimed_until = ?4
		WHERE rowid IN (SELECT rowid FROM ego_timers WHERE due <= ?1 AND claimed_until <= ?2
			ORDER BY due, owner, name LIMIT ?3)
		RETURNING version, attempts, record`

	selectOwnerTimers = `SELECT version, attempts, record FROM ego_timers WHERE owner = ?`
	selectNextTimer   = `SELECT due FROM ego_timers ORDER BY due LIMIT 1`
)

// ScheduleTimers implements [persistence.TimerStore].
func (s *Store) ScheduleTimers(ctx context.Context, timers []*egopb.Timer) error {
	records := make([][]byte, len(timers))
	for i, timer := range timers {
		if err := checkTimer(timer); err != nil {
			return err
		}
		record, err := marshal(timer.GetOwner(), timer)
		if err != nil {
			return err
		}
		records[i] = record
	}
	if len(timers) == 0 {
		return s.check(ctx)
	}
	return s.write(ctx, write{op: "schedule timers in", run: func(ctx context.Context, t *tx) error {
		var highest uint64
		if _, err := t.queryOne(selectHighestVersion, nil, &highest); err != nil {
			return err
		}
		for i, timer := range timers {
			if err := checkEvery(ctx, i); err != nil {
				return err
			}
			version, err := schedule(t, timer, records[i], highest)
			if err != nil {
				return err
			}
			highest = max(highest, version)
		}
		return t.exec(updateHighestVersion, number(highest))
	}})
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

// schedule stores a timer under the version after the stored one, or after the highest of any timer, so that a claim on a
// timer that was removed since never counts for its successor.
func schedule(t *tx, timer *egopb.Timer, record []byte, highest uint64) (version uint64, err error) {
	owner, name := timer.GetOwner(), timer.GetName()
	found, err := t.queryOne(selectVersion, []any{owner, name}, &version)
	if err != nil {
		return 0, err
	}
	if !found {
		version = highest
	}
	version++
	return version, tooLarge(owner, record, t.exec(upsertTimer, owner, name, timer.GetDueUnixNano(), number(version), record))
}

// CancelTimers implements [persistence.TimerStore].
func (s *Store) CancelTimers(ctx context.Context, owner string, names ...string) error {
	return s.write(ctx, write{op: "cancel timers in", run: func(ctx context.Context, t *tx) error {
		if len(names) == 0 {
			return t.exec(deleteTimers, owner)
		}
		for i, name := range names {
			if err := checkEvery(ctx, i); err != nil {
				return err
			}
			if err := t.exec(deleteTimer, owner, name); err != nil {
				return err
			}
		}
		return nil
	}})
}

// ClaimTimers implements [persistence.TimerStore]. Claims expire by the clock of the machine. Timers that are due at the
// same time come in byte order of their owners and names. A call that finds none does not write.
func (s *Store) ClaimTimers(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
	if limit < 1 || claim <= 0 {
		return nil, invalid("limit %d and claim %v must be positive", limit, claim)
	}
	var one int
	found, err := s.readOne(ctx, "look for timers in", selectDueTimer, []any{now.UnixNano(), s.now().UnixNano()}, &one)
	if err != nil || !found {
		return nil, err
	}
	var timers []*egopb.Timer
	err = s.write(ctx, write{op: "claim timers in", run: func(_ context.Context, t *tx) error {
		clock := s.now()
		return t.query(claimTimers, func(rows *sql.Rows) error {
			timer, err := s.scanTimer(rows)
			timers = append(timers, timer)
			return err
		}, now.UnixNano(), clock.UnixNano(), limit, clock.Add(claim).UnixNano())
	}})
	if err != nil {
		return nil, err
	}
	return sortByDue(timers), nil
}

// CompleteTimer implements [persistence.TimerStore].
func (s *Store) CompleteTimer(ctx context.Context, owner, name string, version uint64) error {
	return s.write(ctx, write{op: "complete a timer in", run: func(_ context.Context, t *tx) error {
		return t.exec(completeTimer, owner, name, number(version))
	}})
}

// CompleteTimers implements [persistence.TimerBatchStore].
func (s *Store) CompleteTimers(ctx context.Context, timers []*egopb.Timer) error {
	return s.eachClaimed(ctx, "complete timers in", completeClaimed, timers)
}

// ReleaseTimers implements [persistence.TimerBatchStore].
func (s *Store) ReleaseTimers(ctx context.Context, timers []*egopb.Timer) error {
	return s.eachClaimed(ctx, "release timers in", releaseTimer, timers)
}

// eachClaimed runs a statement for the timers whose claims still hold.
func (s *Store) eachClaimed(ctx context.Context, op, statement string, timers []*egopb.Timer) error {
	if len(timers) == 0 {
		return s.check(ctx)
	}
	return s.write(ctx, write{op: op, run: func(ctx context.Context, t *tx) error {
		for i, timer := range timers {
			if err := checkEvery(ctx, i); err != nil {
				return err
			}
			if err := t.exec(statement, timer.GetOwner(), timer.GetName(), number(timer.GetVersion()), timer.GetAttempts()); err != nil {
				return err
			}
		}
		return nil
	}})
}

// OwnerTimers implements [persistence.TimerStore].
func (s *Store) OwnerTimers(ctx context.Context, owner string) ([]*egopb.Timer, error) {
	var timers []*egopb.Timer
	err := s.read(ctx, "read timers from", selectOwnerTimers, func(rows *sql.Rows) error {
		timer, err := s.scanTimer(rows)
		timers = append(timers, timer)
		return err
	}, owner)
	if err != nil {
		return nil, err
	}
	return sortByDue(timers), nil
}

// NextTimer implements [persistence.TimerStore].
func (s *Store) NextTimer(ctx context.Context) (time.Time, bool, error) {
	var due int64
	found, err := s.readOne(ctx, "read timers from", selectNextTimer, nil, &due)
	if err != nil || !found {
		return time.Time{}, false, err
	}
	return time.Unix(0, due), true, nil
}

func (s *Store) scanTimer(rows *sql.Rows) (*egopb.Timer, error) {
	var (
		version  uint64
		attempts uint32
		record   sql.RawBytes
	)
	if err := rows.Scan(&version, &attempts, &record); err != nil {
		return nil, err
	}
	timer := new(egopb.Timer)
	if err := proto.Unmarshal(record, timer); err != nil {
		return nil, err
	}
	timer.Shard = persistence.ShardOf(timer.GetOwner(), s.shards)
	timer.Version, timer.Attempts = version, attempts
	return timer, nil
}

func sortByDue(timers []*egopb.Timer) []*egopb.Timer {
	slices.SortFunc(timers, func(a, b *egopb.Timer) int {
		return cmp.Or(cmp.Compare(a.GetDueUnixNano(), b.GetDueUnixNano()),
			strings.Compare(a.GetOwner(), b.GetOwner()), strings.Compare(a.GetName(), b.GetName()))
	})
	return timers
}
