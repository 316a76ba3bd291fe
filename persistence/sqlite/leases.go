package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/actorkeep/ego/offsetstore"
)

const (
	selectLease = `SELECT owner, epoch, expires FROM ego_leases WHERE consumer = ? AND shard = ?`
	nextEpoch   = `UPDATE ego_meta SET epoch = epoch + 1 RETURNING epoch`
	upsertLease = `INSERT INTO ego_leases (consumer, shard, owner, epoch, expires) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET owner = excluded.owner, epoch = excluded.epoch, expires = excluded.expires`
	selectLeases = `SELECT shard, owner, epoch, expires FROM ego_leases WHERE consumer = ? ORDER BY shard`
)

// A leaseRow is a lease as it is stored.
type leaseRow struct {
	owner   string // empty when released
	epoch   uint64
	expires int64
}

// AcquireLeases implements [offsetstore.OffsetStore]. Leases expire by the clock of the machine.
func (s *Store) AcquireLeases(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
	if consumer == "" || owner == "" || ttl <= 0 {
		return nil, invalid("lease of consumer %q for owner %q and %v", consumer, owner, ttl)
	}
	if len(shards) == 0 {
		return nil, s.check(ctx)
	}
	var leases []offsetstore.Lease
	err := s.write(ctx, write{op: "acquire leases in", run: func(_ context.Context, t *tx) error {
		now := s.now()
		for _, shard := range shards {
			row, got, err := acquire(t, consumer, owner, shard, now, ttl)
			if err != nil {
				return err
			}
			if got {
				leases = append(leases, row.lease(consumer, shard, now))
			}
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return leases, nil
}

// acquire takes a shard that is free, or extends the lease of its owner.
func acquire(t *tx, consumer, owner string, shard uint32, now time.Time, ttl time.Duration) (leaseRow, bool, error) {
	row, known, err := readLease(t, consumer, shard)
	if err != nil {
		return row, false, err
	}
	switch {
	case known && row.owner == owner: // extended
	case !known, row.owner == "", row.expires <= now.UnixNano():
		row.owner = owner
		if _, err := t.queryOne(nextEpoch, nil, &row.epoch); err != nil {
			return row, false, err
		}
	default:
		return row, false, nil
	}
	row.expires = now.Add(ttl).UnixNano()
	return row, true, row.write(t, consumer, shard)
}

// RenewLeases implements [offsetstore.OffsetStore].
func (s *Store) RenewLeases(ctx context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error) {
	if ttl <= 0 {
		return nil, invalid("leases for %v", ttl)
	}
	var renewed []offsetstore.Lease
	err := s.writeHeld(ctx, "renew leases in", leases, func(t *tx, l offsetstore.Lease, row leaseRow) error {
		now := s.now()
		row.expires = now.Add(ttl).UnixNano()
		renewed = append(renewed, row.lease(l.Consumer, l.Shard, now))
		return row.write(t, l.Consumer, l.Shard)
	})
	if err != nil {
		return nil, err
	}
	return renewed, nil
}

// ReleaseLeases implements [offsetstore.OffsetStore].
func (s *Store) ReleaseLeases(ctx context.Context, leases []offsetstore.Lease) error {
	return s.writeHeld(ctx, "release leases in", leases, func(t *tx, l offsetstore.Lease, row leaseRow) error {
		return row.release().write(t, l.Consumer, l.Shard)
	})
}

// writeHeld calls change, in one transaction, for those of the leases that are still held.
func (s *Store) writeHeld(ctx context.Context, op string, leases []offsetstore.Lease,
	change func(t *tx, l offsetstore.Lease, row leaseRow) error,
) error {
	if len(leases) == 0 {
		return s.check(ctx)
	}
	return s.write(ctx, write{op: op, run: func(_ context.Context, t *tx) error {
		for _, l := range leases {
			row, err := held(t, l)
			switch {
			case errors.Is(err, offsetstore.ErrStaleLease):
				continue
			case err != nil:
				return err
			}
			if err := change(t, l, row); err != nil {
				return err
			}
		}
		return nil
	}})
}

// Leases implements [offsetstore.OffsetStore].
func (s *Store) Leases(ctx context.Context, consumer string) ([]offsetstore.Lease, error) {
	var leases []offsetstore.Lease
	now := s.now()
	err := s.read(ctx, "read leases from", selectLeases, func(rows *sql.Rows) error {
		var (
			shard uint32
			row   leaseRow
		)
		err := rows.Scan(&shard, &row.owner, &row.epoch, &row.expires)
		leases = append(leases, row.lease(consumer, shard, now))
		return err
	}, consumer)
	if err != nil {
		return nil, err
	}
	return leases, nil
}

func readLease(t *tx, consumer string, shard uint32) (row leaseRow, known bool, err error) {
	known, err = t.queryOne(selectLease, []any{consumer, shard}, &row.owner, &row.epoch, &row.expires)
	return row, known, err
}

// held returns the row of a lease that is held under its epoch, or a [offsetstore.StaleLeaseError].
func held(t *tx, l offsetstore.Lease) (leaseRow, error) {
	row, known, err := readLease(t, l.Consumer, l.Shard)
	if err != nil {
		return row, err
	}
	if !known || row.owner == "" || row.epoch != l.Epoch {
		return row, &offsetstore.StaleLeaseError{Consumer: l.Consumer, Shard: l.Shard, Epoch: l.Epoch, Current: row.epoch}
	}
	return row, nil
}

func (r leaseRow) write(t *tx, consumer string, shard uint32) error {
	return t.exec(upsertLease, consumer, shard, r.owner, number(r.epoch), r.expires)
}

func (r leaseRow) release() leaseRow {
	r.owner, r.expires = "", 0
	return r
}

// lease returns the lease as the caller sees it.
func (r leaseRow) lease(consumer string, shard uint32, now time.Time) offsetstore.Lease {
	l := offsetstore.Lease{Consumer: consumer, Shard: shard, Owner: r.owner, Epoch: r.epoch}
	if r.owner != "" {
		l.Expires = time.Duration(r.expires - now.UnixNano())
	}
	return l
}

func isStale(err error) bool { return errors.Is(err, offsetstore.ErrStaleLease) }
