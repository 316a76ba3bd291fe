package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

const (
	// A timer that is set anew gets the next version. A new one, and one that has used up the 2^24 versions of its
	// beginning, takes the next beginning from the sequence.
	upsertTimers = `INSERT INTO ego.timers AS t (owner, name, due, version, record)
		SELECT n.owner, n.name, n.due, nextval('ego.timer_versions') << 24, n.record
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[]) AS n (owner, name, due, record)
		ON CONFLICT (owner, name) DO UPDATE SET due = excluded.due, record = excluded.record, attempts = 0,
			claimed_until = '-infinity', version = CASE (t.version + 1) & 16777215
				WHEN 0 THEN nextval('ego.timer_versions') << 24 ELSE t.version + 1 END`

	deleteTimers      = `DELETE FROM ego.timers WHERE owner = $1`
	deleteNamedTimers = `DELETE FROM ego.timers WHERE owner = $1 AND name = ANY ($2::text[])`
	completeTimer     = `DELETE FROM ego.timers WHERE owner = $1 AND name = $2 AND version = $3`

	// The rows are locked in order, as ScheduleTimers does, so that calls do not wait for each other in circles.
	completeClaimed = `DELETE FROM ego.timers WHERE ctid = ANY (ARRAY (` + stillClaimed + `))`
	releaseClaimed  = `UPDATE ego.timers SET claimed_until = '-infinity' WHERE ctid = ANY (ARRAY (` + stillClaimed + `))`
	stillClaimed    = `SELECT t.ctid FROM ego.timers t
		JOIN unnest($1::text[], $2::text[], $3::bigint[], $4::int[]) AS c (owner, name, version, attempts)
		ON t.owner = c.owner AND t.name = c.name AND t.version = c.version AND t.attempts = c.attempts
		ORDER BY t.owner, t.name FOR UPDATE OF t`

	// Timers that another claimer has at hand are passed over, so claimers do not wait for each other. The rows are locked,
	// so they stay where they are. One that was changed since the statement began is left for the next call.
	claimTimers = `UPDATE ego.timers SET attempts = attempts + 1, claimed_until = clock_timestamp() + $3 * interval '1 microsecond'
		WHERE ctid = ANY (ARRAY (
			SELECT ctid FROM ego.timers WHERE due <= $1 AND claimed_until <= clock_timestamp()
			ORDER BY due, owner, name LIMIT $2 FOR UPDATE SKIP LOCKED))
		RETURNING version, attempts, record`
	selectDueTimer = `SELECT 1 FROM ego.timers WHERE due <= $1 AND claimed_until <= clock_timestamp() ORDER BY due LIMIT 1`

	selectOwnerTimers = `SELECT version, attempts, record FROM ego.timers WHERE owner = $1`
	selectNextTimer   = `SELECT due FROM ego.timers ORDER BY due LIMIT 1`
)

// ScheduleTimers implements [persistence.TimerStore]. When a timer is given twice, the last one counts.
func (s *Store) ScheduleTimers(ctx context.Context, timers []*egopb.Timer) error {
	for _, timer := range timers {
		if err := checkTimer(timer); err != nil {
			return err
		}
	}
	if len(timers) == 0 {
		return s.check(ctx)
	}
	var (
		owners, names []string
		dues          []int64
		records       [][]byte
	)
	for _, timer := range lastOfEach(timers, compareNames) {
		record, err := marshal(timer.GetOwner(), timer)
		if err != nil {
			return err
		}
		owners, names = append(owners, timer.GetOwner()), append(names, timer.GetName())
		dues, records = append(dues, timer.GetDueUnixNano()), append(records, record)
	}
	return s.exec(ctx, "schedule timers in", upsertTimers, owners, names, dues, records)
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
	return checkText(timer.GetOwner(), "name", timer.GetName())
}

func compareNames(a, b *egopb.Timer) int {
	return cmp.Or(strings.Compare(a.GetOwner(), b.GetOwner()), strings.Compare(a.GetName(), b.GetName()))
}

// lastOfEach returns the values in order, which is the order of their locks, and of those that compare as equal the last
// one only.
func lastOfEach[T any](values []T, compare func(a, b T) int) []T {
	sorted := slices.Clone(values)
	slices.Reverse(sorted)
	slices.SortStableFunc(sorted, compare)
	return slices.CompactFunc(sorted, func(a, b T) bool { return compare(a, b) == 0 })
}

// CancelTimers implements [persistence.TimerStore].
func (s *Store) CancelTimers(ctx context.Context, owner string, names ...string) error {
	if !isText(owner) {
		return s.check(ctx)
	}
	if len(names) == 0 {
		return s.exec(ctx, "cancel timers in", deleteTimers, owner)
	}
	known := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !isText(name) })
	return s.exec(ctx, "cancel timers in", deleteNamedTimers, owner, known)
}

// ClaimTimers implements [persistence.TimerStore]. Claims expire by the clock of the server. Timers that are due at the
// same time come in byte order of their owners and names. A call that finds none does not write.
func (s *Store) ClaimTimers(ctx context.Context, now time.Time, claim time.Duration, limit int) ([]*egopb.Timer, error) {
	if limit < 1 || claim <= 0 {
		return nil, invalid("limit %d and claim %v must be positive", limit, claim)
	}
	var due int
	found, err := s.readOne(ctx, "look for timers in", selectDueTimer, []any{now.UnixNano()}, &due)
	if err != nil || !found {
		return nil, err
	}
	var timers []*egopb.Timer
	err = s.write(ctx, "claim timers in", func(ctx context.Context, conn *pgx.Conn) error {
		timers = nil
		args := []any{now.UnixNano(), limit, microseconds(claim)}
		return each(ctx, conn, s.sql(claimTimers), args, func(rows pgx.Rows) error {
			timer, err := s.scanTimer(rows)
			timers = append(timers, timer)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return sortByDue(timers), nil
}

// microseconds is what an interval counts in, rounded up.
func microseconds(d time.Duration) int64 { return int64((d-1)/time.Microsecond) + 1 }

// CompleteTimer implements [persistence.TimerStore].
func (s *Store) CompleteTimer(ctx context.Context, owner, name string, version uint64) error {
	if !isText(owner) || !isText(name) {
		return s.check(ctx)
	}
	return s.exec(ctx, "complete a timer in", completeTimer, owner, name, number(version))
}

// CompleteTimers implements [persistence.TimerBatchStore].
func (s *Store) CompleteTimers(ctx context.Context, timers []*egopb.Timer) error {
	return s.eachClaimed(ctx, "complete timers in", completeClaimed, timers)
}

// ReleaseTimers implements [persistence.TimerBatchStore].
func (s *Store) ReleaseTimers(ctx context.Context, timers []*egopb.Timer) error {
	return s.eachClaimed(ctx, "release timers in", releaseClaimed, timers)
}

// eachClaimed runs a statement for the timers whose claims still hold.
func (s *Store) eachClaimed(ctx context.Context, op, statement string, timers []*egopb.Timer) error {
	var (
		owners, names []string
		versions      []int64
		attempts      []uint32
	)
	for _, timer := range timers {
		if isText(timer.GetOwner()) && isText(timer.GetName()) {
			owners, names = append(owners, timer.GetOwner()), append(names, timer.GetName())
			versions, attempts = append(versions, number(timer.GetVersion())), append(attempts, timer.GetAttempts())
		}
	}
	if len(owners) == 0 {
		return s.check(ctx)
	}
	return s.exec(ctx, op, statement, owners, names, versions, attempts)
}

// OwnerTimers implements [persistence.TimerStore].
func (s *Store) OwnerTimers(ctx context.Context, owner string) ([]*egopb.Timer, error) {
	if !isText(owner) {
		return nil, s.check(ctx)
	}
	timers, err := readAll(ctx, s, "read timers from", selectOwnerTimers, []any{owner}, s.scanTimer)
	return sortByDue(timers), err
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

func (s *Store) scanTimer(rows pgx.Rows) (*egopb.Timer, error) {
	var (
		timer    = new(egopb.Timer)
		version  uint64
		attempts uint32
	)
	if err := unmarshalRow(rows, timer, &version, &attempts); err != nil {
		return nil, err
	}
	timer.Shard = persistence.ShardOf(timer.GetOwner(), s.shards)
	timer.Version, timer.Attempts = version, attempts
	return timer, nil
}

func sortByDue(timers []*egopb.Timer) []*egopb.Timer {
	slices.SortFunc(timers, func(a, b *egopb.Timer) int {
		return cmp.Or(cmp.Compare(a.GetDueUnixNano(), b.GetDueUnixNano()), compareNames(a, b))
	})
	return timers
}
