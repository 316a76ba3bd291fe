package postgres

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
)

const (
	parkEvents = `WITH held AS (
			SELECT epoch, owner <> '' AS owned FROM ego.leases WHERE consumer = $1 AND shard = $2 FOR NO KEY UPDATE
		), done AS (
			INSERT INTO ego.dead_letters (consumer, shard, position, persistence_id, record)
			SELECT $1, $2, n.position, n.persistence_id, n.record
			FROM held, unnest($4::bigint[], $5::text[], $6::bytea[]) AS n (position, persistence_id, record)
			WHERE held.owned AND held.epoch = $3
			ON CONFLICT (consumer, shard, position) DO UPDATE
				SET persistence_id = excluded.persistence_id, record = excluded.record
		)
		SELECT coalesce((SELECT epoch FROM held), 0), coalesce((SELECT owned AND epoch = $3 FROM held), false)`

	selectDeadLetters = `SELECT record FROM ego.dead_letters
		WHERE consumer = $1 AND (shard, position) > ($2, $3) ORDER BY shard, position LIMIT $4`
	selectDeadLettersOf = `SELECT record FROM ego.dead_letters
		WHERE consumer = $1 AND (shard, position) > ($2, $3) AND persistence_id = ANY ($5::text[])
		ORDER BY shard, position LIMIT $4`

	// Seeks the index once per entity.
	selectParked = `WITH RECURSIVE ids (id) AS (
			(SELECT persistence_id FROM ego.dead_letters WHERE consumer = $1 AND shard = $2 ORDER BY persistence_id LIMIT 1)
			UNION ALL
			SELECT (SELECT d.persistence_id FROM ego.dead_letters d WHERE d.consumer = $1 AND d.shard = $2
				AND d.persistence_id > ids.id ORDER BY d.persistence_id LIMIT 1)
			FROM ids WHERE ids.id IS NOT NULL)
		SELECT id FROM ids WHERE id IS NOT NULL`

	deleteSomeDeadLetters = `DELETE FROM ego.dead_letters WHERE consumer = $1 AND shard = $2 AND position = ANY ($3::bigint[])`
)

// letterPage is how many dead letters are read at once.
const letterPage = 250

// ParkEvents implements [offsetstore.DeadLetterStore].
func (s *Store) ParkEvents(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error {
	checked := make([]*egopb.DeadLetter, len(letters))
	for i, letter := range letters {
		known, err := offsetstore.CheckLetter(lease, letter)
		if err != nil {
			return err
		}
		if err := checkNumbered(known.GetEvent().GetPersistenceId(), "position", known.GetEvent().GetPosition()); err != nil {
			return err
		}
		checked[i] = known
	}
	stale := &offsetstore.StaleLeaseError{Consumer: lease.Consumer, Shard: lease.Shard, Epoch: lease.Epoch}
	if !isText(lease.Consumer) || lease.Shard > math.MaxInt32 {
		return stale
	}
	args, err := parkArgs(lease, checked)
	if err != nil {
		return err
	}
	return s.write(ctx, "park events in", func(ctx context.Context, conn *pgx.Conn) error {
		held := false
		if err := verdict(ctx, conn, s.sql(parkEvents), args, &stale.Current, &held); err != nil || held {
			return err
		}
		return stale
	})
}

// parkArgs are the parameters of parkEvents. Of two letters at one position the last counts.
func parkArgs(lease offsetstore.Lease, letters []*egopb.DeadLetter) ([]any, error) {
	var (
		positions = []int64{}
		ids       = []string{}
		records   = [][]byte{}
	)
	for _, letter := range lastOfEach(letters, func(a, b *egopb.DeadLetter) int {
		return cmp.Compare(a.GetEvent().GetPosition(), b.GetEvent().GetPosition())
	}) {
		id := letter.GetEvent().GetPersistenceId()
		record, err := marshal(id, letter)
		if err != nil {
			return nil, err
		}
		positions, ids = append(positions, int64(letter.GetEvent().GetPosition())), append(ids, id)
		records = append(records, record)
	}
	return []any{lease.Consumer, int32(lease.Shard), number(lease.Epoch), positions, ids, records}, nil //nolint:gosec // checked
}

// DeadLetters implements [offsetstore.DeadLetterStore]. It reads by pages, and no connection is held while the loop's body
// runs.
func (s *Store) DeadLetters(ctx context.Context, consumer string, persistenceIDs ...string) iter.Seq2[*egopb.DeadLetter, error] {
	ids := slices.DeleteFunc(slices.Clone(persistenceIDs), func(id string) bool { return !isText(id) })
	named := len(persistenceIDs) > 0
	return func(yield func(*egopb.DeadLetter, error) bool) {
		shard, position := int64(0), uint64(0)
		for {
			letters, err := s.letterPage(ctx, consumer, named, ids, shard, position)
			for _, letter := range letters {
				if !yield(letter, nil) {
					return
				}
				shard, position = int64(letter.GetEvent().GetShard()), letter.GetEvent().GetPosition()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(letters) < letterPage {
				return
			}
		}
	}
}

// letterPage returns the dead letters that follow one at a position.
func (s *Store) letterPage(ctx context.Context, consumer string, named bool, ids []string, shard int64, position uint64,
) ([]*egopb.DeadLetter, error) {
	if !isText(consumer) {
		return nil, s.check(ctx)
	}
	query, args := selectDeadLetters, []any{consumer, shard, number(position), letterPage}
	if named {
		query, args = selectDeadLettersOf, append(args, ids)
	}
	return readAll(ctx, s, "read dead letters from", query, args, func(rows pgx.Rows) (*egopb.DeadLetter, error) {
		return scanMessage(rows, new(egopb.DeadLetter))
	})
}

// ParkedEntities implements [offsetstore.DeadLetterStore].
func (s *Store) ParkedEntities(ctx context.Context, consumer string, shard uint32) ([]string, error) {
	if !isText(consumer) {
		return nil, s.check(ctx)
	}
	return readAll(ctx, s, "read dead letters from", selectParked, []any{consumer, int64(shard)}, scanText)
}

// DeleteDeadLetters implements [offsetstore.DeadLetterStore].
func (s *Store) DeleteDeadLetters(ctx context.Context, consumer string, shard uint32, positions ...uint64) error {
	if !isText(consumer) || len(positions) == 0 {
		return s.check(ctx)
	}
	values := make([]int64, len(positions))
	for i, position := range positions {
		values[i] = number(position)
	}
	return s.exec(ctx, "delete dead letters from", deleteSomeDeadLetters, consumer, int64(shard), values)
}
