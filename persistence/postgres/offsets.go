package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
)

// serverTime is the clock of the server in Unix nanoseconds, to the microsecond.
const serverTime = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000`

const (
	// commitOffset writes an offset when the lease is held, and says what it found. The row of the lease stays locked until
	// the transaction ends, so nobody takes the shard over in between.
	commitOffset = `WITH held AS (
			SELECT epoch, owner <> '' AS owned FROM ego.leases WHERE consumer = $1 AND shard = $2 FOR NO KEY UPDATE
		), done AS (
			INSERT INTO ego.offsets AS o (consumer, shard, position, epoch, time_unix_nano)
			SELECT $1, $2, $3, $4, ` + serverTime + ` FROM held WHERE held.owned AND held.epoch = $4
			ON CONFLICT (consumer, shard) DO UPDATE SET position = excluded.position, epoch = excluded.epoch,
				time_unix_nano = excluded.time_unix_nano
			WHERE o.position <= excluded.position
			RETURNING 1
		)
		SELECT coalesce((SELECT epoch FROM held), 0), coalesce((SELECT owned AND epoch = $4 FROM held), false),
			EXISTS (SELECT FROM done),
			coalesce((SELECT position FROM ego.offsets WHERE consumer = $1 AND shard = $2), 0)`

	selectOffsets = `SELECT shard, position, epoch, time_unix_nano FROM ego.offsets WHERE consumer = $1 ORDER BY shard`

	resetOffsets = `WITH n AS (
			SELECT * FROM unnest($2::integer[], $3::bigint[]) AS n (shard, position)
		), ended AS (
			UPDATE ego.leases l SET owner = '', expires = '-infinity', epoch = nextval('ego.lease_epochs')
			FROM n WHERE l.consumer = $1 AND l.shard = n.shard
			RETURNING l.shard, l.epoch
		)
		INSERT INTO ego.offsets (consumer, shard, position, epoch, time_unix_nano)
		SELECT $1, n.shard, n.position, coalesce(ended.epoch, 0), ` + serverTime + ` FROM n LEFT JOIN ended ON ended.shard = n.shard
		ON CONFLICT (consumer, shard) DO UPDATE SET position = excluded.position, epoch = excluded.epoch,
			time_unix_nano = excluded.time_unix_nano`

	// A statement of its own, after resetOffsets: it sees what was parked while that waited for the leases.
	deleteDeadLettersAbove = `DELETE FROM ego.dead_letters d USING unnest($2::integer[], $3::bigint[]) AS n (shard, position)
		WHERE d.consumer = $1 AND d.shard = n.shard AND d.position > n.position`

	deleteLeases      = `DELETE FROM ego.leases WHERE consumer = $1`
	deleteOffsets     = `DELETE FROM ego.offsets WHERE consumer = $1`
	deleteDeadLetters = `DELETE FROM ego.dead_letters WHERE consumer = $1`
)

// CommitOffset implements [offsetstore.OffsetStore].
func (s *Store) CommitOffset(ctx context.Context, lease offsetstore.Lease, position uint64) error {
	return s.write(ctx, "commit an offset to", func(ctx context.Context, conn *pgx.Conn) error {
		return s.commitOffset(ctx, conn, lease, position)
	})
}

// commitOffset records an offset under a lease that is held, in whatever transaction the connection is in.
func (s *Store) commitOffset(ctx context.Context, conn *pgx.Conn, lease offsetstore.Lease, position uint64) error {
	stale := &offsetstore.StaleLeaseError{Consumer: lease.Consumer, Shard: lease.Shard, Epoch: lease.Epoch}
	if !isText(lease.Consumer) || lease.Shard > math.MaxInt32 {
		return stale
	}
	var (
		held, done bool
		stored     uint64
	)
	args := []any{lease.Consumer, int32(lease.Shard), number(position), number(lease.Epoch)}
	err := verdict(ctx, conn, s.sql(commitOffset), args, &stale.Current, &held, &done, &stored)
	switch {
	case err != nil:
		return err
	case !held:
		return stale
	case !done || position > math.MaxInt64:
		return invalid("offset %d of consumer %q in shard %d is below the stored %d", position, lease.Consumer, lease.Shard, stored)
	default:
		return nil
	}
}

// Offsets implements [offsetstore.OffsetStore].
func (s *Store) Offsets(ctx context.Context, consumer string) ([]*egopb.Offset, error) {
	if !isText(consumer) {
		return nil, s.check(ctx)
	}
	return readAll(ctx, s, "read offsets from", selectOffsets, []any{consumer}, func(rows pgx.Rows) (*egopb.Offset, error) {
		o := &egopb.Offset{Consumer: consumer}
		return o, rows.Scan(&o.Shard, &o.Position, &o.Epoch, &o.TimeUnixNano)
	})
}

// ResetOffsets implements [offsetstore.OffsetStore].
func (s *Store) ResetOffsets(ctx context.Context, consumer string, positions map[uint32]uint64) error {
	if consumer == "" || !isText(consumer) {
		return invalid("the consumer cannot be named %q", consumer)
	}
	var (
		shards []int32
		values []int64
	)
	for shard, position := range positions {
		if position > math.MaxInt64 || shard > math.MaxInt32 {
			return invalid("offset %d of consumer %q in shard %d", position, consumer, shard)
		}
		shards, values = append(shards, int32(shard)), append(values, int64(position))
	}
	if len(shards) == 0 {
		return s.check(ctx)
	}
	return s.write(ctx, "reset offsets in", func(ctx context.Context, conn *pgx.Conn) error {
		batch := new(pgx.Batch)
		for _, query := range []string{resetOffsets, deleteDeadLettersAbove} {
			batch.Queue(s.sql(query), consumer, shards, values)
		}
		return conn.SendBatch(ctx, batch).Close()
	})
}

// DeleteConsumer implements [offsetstore.OffsetStore]. Epochs are not used again: a lease from before stays stale.
func (s *Store) DeleteConsumer(ctx context.Context, consumer string) error {
	if !isText(consumer) {
		return s.check(ctx)
	}
	return s.write(ctx, "delete a consumer from", func(ctx context.Context, conn *pgx.Conn) error {
		// One transaction, in which each statement sees what the leases before it have held up.
		batch := new(pgx.Batch)
		for _, query := range []string{deleteLeases, deleteOffsets, deleteDeadLetters} {
			batch.Queue(s.sql(query), consumer)
		}
		return conn.SendBatch(ctx, batch).Close()
	})
}
