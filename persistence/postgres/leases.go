package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/offsetstore"
)

// leaseColumns are what [scanLease] reads. Times left are measured by the clock of the server, in microseconds.
const leaseColumns = ` l.consumer, l.shard, l.owner, l.epoch,
	CASE l.owner WHEN '' THEN 0 ELSE (extract(epoch FROM l.expires - clock_timestamp()) * 1000000)::bigint END `

const (
	// What the update says is evaluated when the row is locked, so an epoch is above that of an owner who came in between.
	acquireLeases = `INSERT INTO ego.leases AS l (consumer, shard, owner, epoch, expires)
		SELECT $1, n.shard, $2, nextval('ego.lease_epochs'), clock_timestamp() + $4 * interval '1 microsecond'
		FROM unnest($3::integer[]) AS n (shard)
		ON CONFLICT (consumer, shard) DO UPDATE SET owner = excluded.owner,
			expires = clock_timestamp() + $4 * interval '1 microsecond',
			epoch = CASE l.owner WHEN excluded.owner THEN l.epoch ELSE nextval('ego.lease_epochs') END
		WHERE l.owner = excluded.owner OR l.owner = '' OR l.expires <= clock_timestamp()
		RETURNING` + leaseColumns

	renewLeases = `UPDATE ego.leases l SET expires = clock_timestamp() + $4 * interval '1 microsecond'
		FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS n (consumer, shard, epoch)
		WHERE l.consumer = n.consumer AND l.shard = n.shard AND l.epoch = n.epoch AND l.owner <> ''
		RETURNING` + leaseColumns

	releaseLeases = `UPDATE ego.leases l SET owner = '', expires = '-infinity'
		FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS n (consumer, shard, epoch)
		WHERE l.consumer = n.consumer AND l.shard = n.shard AND l.epoch = n.epoch AND l.owner <> ''`

	selectLeases = `SELECT` + leaseColumns + `FROM ego.leases l WHERE l.consumer = $1 ORDER BY l.shard`
)

// AcquireLeases implements [offsetstore.OffsetStore]. Leases expire by the clock of the server.
func (s *Store) AcquireLeases(ctx context.Context, consumer, owner string, shards []uint32, ttl time.Duration) ([]offsetstore.Lease, error) {
	if consumer == "" || owner == "" || ttl <= 0 || !isText(consumer) || !isText(owner) {
		return nil, invalid("lease of consumer %q for owner %q and %v", consumer, owner, ttl)
	}
	if len(shards) == 0 {
		return nil, s.check(ctx)
	}
	sorted := slices.Clone(shards)
	slices.Sort(sorted)
	return s.writeLeases(ctx, "acquire leases in", acquireLeases, consumer, owner, signed(slices.Compact(sorted)), microseconds(ttl))
}

// signed makes shards what an integer column holds. No shard is above 2^31.
func signed(shards []uint32) []int32 {
	all := make([]int32, len(shards))
	for i, shard := range shards {
		all[i] = int32(shard) //nolint:gosec // a shard of no store would match no row
	}
	return all
}

// RenewLeases implements [offsetstore.OffsetStore].
func (s *Store) RenewLeases(ctx context.Context, leases []offsetstore.Lease, ttl time.Duration) ([]offsetstore.Lease, error) {
	if ttl <= 0 {
		return nil, invalid("leases for %v", ttl)
	}
	consumers, shards, epochs := leaseArrays(leases)
	if len(consumers) == 0 {
		return nil, s.check(ctx)
	}
	return s.writeLeases(ctx, "renew leases in", renewLeases, consumers, shards, epochs, microseconds(ttl))
}

// ReleaseLeases implements [offsetstore.OffsetStore].
func (s *Store) ReleaseLeases(ctx context.Context, leases []offsetstore.Lease) error {
	consumers, shards, epochs := leaseArrays(leases)
	if len(consumers) == 0 {
		return s.check(ctx)
	}
	return s.exec(ctx, "release leases in", releaseLeases, consumers, shards, epochs)
}

// leaseArrays are leases as columns, in order. Those that no store can have given are left out.
func leaseArrays(leases []offsetstore.Lease) (consumers []string, shards []int32, epochs []int64) {
	sorted := slices.SortedFunc(slices.Values(leases), func(a, b offsetstore.Lease) int {
		return cmp.Or(cmp.Compare(a.Consumer, b.Consumer), cmp.Compare(a.Shard, b.Shard))
	})
	for _, l := range sorted {
		if isText(l.Consumer) {
			consumers, epochs = append(consumers, l.Consumer), append(epochs, number(l.Epoch))
			shards = append(shards, int32(l.Shard)) //nolint:gosec // a shard of no store matches no row
		}
	}
	return consumers, shards, epochs
}

// Leases implements [offsetstore.OffsetStore].
func (s *Store) Leases(ctx context.Context, consumer string) ([]offsetstore.Lease, error) {
	if !isText(consumer) {
		return nil, s.check(ctx)
	}
	return readAll(ctx, s, "read leases from", selectLeases, []any{consumer}, scanLease)
}

// writeLeases runs a statement that changes leases and returns them.
func (s *Store) writeLeases(ctx context.Context, op, query string, args ...any) (leases []offsetstore.Lease, err error) {
	err = s.write(ctx, op, func(ctx context.Context, conn *pgx.Conn) error {
		leases = nil
		return each(ctx, conn, s.sql(query), args, func(rows pgx.Rows) error {
			lease, err := scanLease(rows)
			leases = append(leases, lease)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return leases, nil
}

func scanLease(rows pgx.Rows) (l offsetstore.Lease, err error) {
	var left int64
	err = rows.Scan(&l.Consumer, &l.Shard, &l.Owner, &l.Epoch, &left)
	l.Expires = time.Duration(left) * time.Microsecond
	return l, err
}
