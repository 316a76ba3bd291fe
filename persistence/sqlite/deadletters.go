package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

const (
	upsertDeadLetter = `INSERT INTO ego_dead_letters (consumer, shard, position, persistence_id, record) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET persistence_id = excluded.persistence_id, record = excluded.record`

	selectDeadLetters = `SELECT record FROM ego_dead_letters
		WHERE consumer = ? AND (shard, position) > (?, ?) ORDER BY shard, position LIMIT ?`
	selectDeadLettersOf = `SELECT record FROM ego_dead_letters
		WHERE consumer = ?1 AND (shard, position) > (?2, ?3) AND persistence_id IN (SELECT value FROM json_each(?5))
		ORDER BY shard, position LIMIT ?4`

	// Seeks the index once per entity.
	selectParked = `WITH RECURSIVE ids (id) AS (
			SELECT (SELECT min(persistence_id) FROM ego_dead_letters WHERE consumer = ?1 AND shard = ?2)
			UNION ALL
			SELECT (SELECT min(persistence_id) FROM ego_dead_letters WHERE consumer = ?1 AND shard = ?2 AND persistence_id > ids.id)
			FROM ids WHERE ids.id IS NOT NULL)
		SELECT id FROM ids WHERE id IS NOT NULL`

	deleteDeadLettersAbove = `DELETE FROM ego_dead_letters WHERE consumer = ? AND shard = ? AND position > ?`

	deleteDeadLetter = `DELETE FROM ego_dead_letters WHERE consumer = ? AND shard = ? AND position = ?`
)

// letterPage is how many dead letters are read at once.
const letterPage = 250

// ParkEvents implements [offsetstore.DeadLetterStore]. A dead letter that names no consumer is one of the lease's.
func (s *Store) ParkEvents(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error {
	records := make([][]byte, len(letters))
	for i, letter := range letters {
		record, err := letterRecord(lease, letter)
		if err != nil {
			return err
		}
		records[i] = record
	}
	return s.write(ctx, write{op: "park events in", run: func(ctx context.Context, t *tx) error {
		if _, err := held(t, lease); err != nil {
			return err
		}
		for i, letter := range letters {
			if err := checkEvery(ctx, i); err != nil {
				return err
			}
			id := letter.GetEvent().GetPersistenceId()
			err := t.exec(upsertDeadLetter, lease.Consumer, lease.Shard, number(letter.GetEvent().GetPosition()), id, records[i])
			if err != nil {
				return tooLarge(id, records[i], err)
			}
		}
		return nil
	}})
}

func letterRecord(lease offsetstore.Lease, letter *egopb.DeadLetter) ([]byte, error) {
	event := letter.GetEvent()
	if event == nil {
		return nil, &persistence.InvalidRecordError{Reason: "the dead letter has no event"}
	}
	id := event.GetPersistenceId()
	if err := checkNumbered(id, "position", event.GetPosition()); err != nil {
		return nil, err
	}
	if event.GetShard() != lease.Shard {
		return nil, &persistence.InvalidRecordError{PersistenceID: id, Reason: "the dead letter is of another shard than the lease"}
	}
	switch letter.GetConsumer() {
	case lease.Consumer:
	case "":
		letter = proto.CloneOf(letter)
		letter.Consumer = lease.Consumer
	default:
		return nil, &persistence.InvalidRecordError{PersistenceID: id, Reason: "the dead letter is of another consumer than the lease"}
	}
	return marshal(id, letter)
}

// DeadLetters implements [offsetstore.DeadLetterStore]. No transaction is open while the loop's body runs.
func (s *Store) DeadLetters(ctx context.Context, consumer string, persistenceIDs ...string) iter.Seq2[*egopb.DeadLetter, error] {
	ids := slices.Clone(persistenceIDs)
	return func(yield func(*egopb.DeadLetter, error) bool) {
		var (
			shard    uint32
			position uint64
		)
		for {
			letters, err := s.letterPage(ctx, consumer, ids, shard, position)
			for _, letter := range letters {
				if !yield(letter, nil) {
					return
				}
				shard, position = letter.GetEvent().GetShard(), letter.GetEvent().GetPosition()
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
func (s *Store) letterPage(ctx context.Context, consumer string, ids []string, shard uint32, position uint64) ([]*egopb.DeadLetter, error) {
	query, args := selectDeadLetters, []any{consumer, shard, number(position), letterPage}
	if len(ids) > 0 {
		list, err := json.Marshal(ids)
		if err != nil {
			return nil, err
		}
		query, args = selectDeadLettersOf, append(args, string(list))
	}
	var letters []*egopb.DeadLetter
	err := s.read(ctx, "read dead letters from", query, func(rows *sql.Rows) error {
		letter, err := scanMessage(rows, new(egopb.DeadLetter))
		letters = append(letters, letter)
		return err
	}, args...)
	if err != nil {
		return nil, err
	}
	return letters, nil
}

// ParkedEntities implements [offsetstore.DeadLetterStore].
func (s *Store) ParkedEntities(ctx context.Context, consumer string, shard uint32) ([]string, error) {
	var ids []string
	err := s.read(ctx, "read dead letters from", selectParked, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, consumer, shard)
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// DeleteDeadLetters implements [offsetstore.DeadLetterStore].
func (s *Store) DeleteDeadLetters(ctx context.Context, consumer string, shard uint32, positions ...uint64) error {
	return s.write(ctx, write{op: "delete dead letters from", run: func(ctx context.Context, t *tx) error {
		for i, position := range positions {
			if err := checkEvery(ctx, i); err != nil {
				return err
			}
			if err := t.exec(deleteDeadLetter, consumer, shard, number(position)); err != nil {
				return err
			}
		}
		return nil
	}})
}
