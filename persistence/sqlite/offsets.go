package sqlite

import (
	"context"
	"database/sql"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
)

const (
	selectOffset = `SELECT position FROM ego_offsets WHERE consumer = ? AND shard = ?`
	upsertOffset = `INSERT INTO ego_offsets (consumer, shard, position, epoch, time_unix_nano) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET position = excluded.position, epoch = excluded.epoch, time_unix_nano = excluded.time_unix_nano`
	selectOffsets = `SELECT shard, position, epoch, time_unix_nano FROM ego_offsets WHERE consumer = ? ORDER BY shard`

	deleteLeases      = `DELETE FROM ego_leases WHERE consumer = ?`
	deleteOffsets     = `DELETE FROM ego_offsets WHERE consumer = ?`
	deleteDeadLetters = `DELETE FROM ego_dead_letters WHERE consumer = ?`
)

// CommitOffset implements [offsetstore.OffsetStore]. It does not sync the file, which the next write of an event does: an
// offset survives the end of the process, and after a loss of power some of the newest may be older again, so that events
// come once more. [Store.CommitOffsetTx] does sync.
func (s *Store) CommitOffset(ctx context.Context, lease offsetstore.Lease, position uint64) error {
	return s.write(ctx, write{op: "commit an offset to", unsynced: true, run: func(_ context.Context, t *tx) error {
		return s.commitOffset(t, lease, position)
	}})
}

// CommitOffsetTx is [Store.CommitOffset] together with what fn writes: both are committed, or neither. It is what makes a
// projection with a read model in the same file exactly once. fn is not called when the lease is stale. What
// [Store.Transact] says of its function holds for fn.
func (s *Store) CommitOffsetTx(ctx context.Context, lease offsetstore.Lease, position uint64,
	fn func(ctx context.Context, tx *sql.Tx) error,
) error {
	return s.write(ctx, write{op: "commit an offset to", run: func(ctx context.Context, t *tx) error {
		if err := s.commitOffset(t, lease, position); err != nil {
			return err
		}
		return s.callUser(ctx, t, fn)
	}})
}

// commitOffset records an offset under a lease that is held.
func (s *Store) commitOffset(t *tx, lease offsetstore.Lease, position uint64) error {
	if _, err := held(t, lease); err != nil {
		return err
	}
	var stored uint64
	if _, err := t.queryOne(selectOffset, []any{lease.Consumer, lease.Shard}, &stored); err != nil {
		return err
	}
	if position < stored || position > maxPosition {
		return invalid("offset %d of consumer %q in shard %d; stored is %d, the highest possible %d",
			position, lease.Consumer, lease.Shard, stored, uint64(maxPosition))
	}
	return s.putOffset(t, lease.Consumer, lease.Shard, position, lease.Epoch)
}

func (s *Store) putOffset(t *tx, consumer string, shard uint32, position, epoch uint64) error {
	return t.exec(upsertOffset, consumer, shard, number(position), number(epoch), s.now().UnixNano())
}

// Offsets implements [offsetstore.OffsetStore].
func (s *Store) Offsets(ctx context.Context, consumer string) ([]*egopb.Offset, error) {
	var offsets []*egopb.Offset
	err := s.read(ctx, "read offsets from", selectOffsets, func(rows *sql.Rows) error {
		o := &egopb.Offset{Consumer: consumer}
		offsets = append(offsets, o)
		return rows.Scan(&o.Shard, &o.Position, &o.Epoch, &o.TimeUnixNano)
	}, consumer)
	if err != nil {
		return nil, err
	}
	return offsets, nil
}

// ResetOffsets implements [offsetstore.OffsetStore].
func (s *Store) ResetOffsets(ctx context.Context, consumer string, positions map[uint32]uint64) error {
	if consumer == "" {
		return invalid("the consumer has no name")
	}
	for shard, position := range positions {
		if position > maxPosition {
			return invalid("offset %d of consumer %q in shard %d", position, consumer, shard)
		}
	}
	return s.write(ctx, write{op: "reset offsets in", run: func(_ context.Context, t *tx) error {
		for shard, position := range positions {
			epoch, err := endLease(t, consumer, shard)
			if err != nil {
				return err
			}
			if err := s.putOffset(t, consumer, shard, position, epoch); err != nil {
				return err
			}
			if err := t.exec(deleteDeadLettersAbove, consumer, shard, number(position)); err != nil {
				return err
			}
		}
		return nil
	}})
}

// endLease takes a shard from its owner, if it ever had one, by a new epoch that nobody holds.
func endLease(t *tx, consumer string, shard uint32) (epoch uint64, err error) {
	row, known, err := readLease(t, consumer, shard)
	if err != nil || !known {
		return 0, err
	}
	row = row.release()
	if _, err := t.queryOne(nextEpoch, nil, &row.epoch); err != nil {
		return 0, err
	}
	return row.epoch, row.write(t, consumer, shard)
}

// DeleteConsumer implements [offsetstore.OffsetStore]. Epochs are not used again: a lease from before stays stale.
func (s *Store) DeleteConsumer(ctx context.Context, consumer string) error {
	return s.write(ctx, write{op: "delete a consumer from", run: func(_ context.Context, t *tx) error {
		for _, query := range []string{deleteLeases, deleteOffsets, deleteDeadLetters} {
			if err := t.exec(query, consumer); err != nil {
				return err
			}
		}
		return nil
	}})
}
