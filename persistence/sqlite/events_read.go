package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

// eventColumns are what [scanEvent] reads. The record of an event says all but where it stands; a tombstone has none.
const eventColumns = ` place, sequence_number, iif(record IS NULL, persistence_id, NULL), iif(record IS NULL, kind, NULL), record `

const (
	selectLatestEvent = `SELECT` + eventColumns + `FROM ego_events
		WHERE persistence_id = ? ORDER BY sequence_number DESC LIMIT 1`

	// What was deleted is always the beginning of a journal, so the replay steps over it at once.
	selectReplay = `SELECT` + eventColumns + `FROM ego_events
		WHERE persistence_id = ?1 AND sequence_number BETWEEN
			max(?2, 1 + coalesce((SELECT to_sequence_number FROM ego_deletions WHERE persistence_id = ?1), 0)) AND ?3
			AND record IS NOT NULL
		ORDER BY sequence_number LIMIT ?4`

	selectShardEvents = `SELECT` + eventColumns + `FROM ego_events
		WHERE place > ? AND place <= ? ORDER BY place LIMIT ?`

	// Seeks the index once per shard.
	selectShardPositions = `WITH RECURSIVE heads (shard, place) AS (
			SELECT 0, (SELECT max(place) FROM ego_events WHERE place BETWEEN 0 AND ?1)
			UNION ALL
			SELECT shard + 1, (SELECT max(place) FROM ego_events
				WHERE place BETWEEN ((shard + 1) << ?2) AND ((shard + 1) << ?2) + ?1)
			FROM heads WHERE shard + 1 < ?3)
		SELECT place FROM heads WHERE place IS NOT NULL`

	// Seeks the index once per entity, however many events it has.
	selectIDs = `WITH RECURSIVE ids (id) AS (
			SELECT * FROM (SELECT persistence_id FROM ego_events WHERE persistence_id > ?1 ORDER BY persistence_id LIMIT 1)
			UNION ALL
			SELECT (SELECT persistence_id FROM ego_events WHERE persistence_id > ids.id ORDER BY persistence_id LIMIT 1)
			FROM ids WHERE ids.id IS NOT NULL)
		SELECT id FROM ids WHERE id IS NOT NULL LIMIT ?2`
)

// A replay reads pages of at most replayPage events. The first is smaller, as most replays are short, and none grows far
// beyond replayBytes.
const (
	firstPage   = 250
	replayPage  = 2000
	replayBytes = 4 << 20
)

// ReplayEvents implements [persistence.EventsStore]. No transaction is open while the loop's body runs. Events that are
// written meanwhile are part of the replay, those that are deleted meanwhile may be missing.
func (s *Store) ReplayEvents(ctx context.Context, persistenceID string, from, to uint64) iter.Seq2[*egopb.Event, error] {
	return func(yield func(*egopb.Event, error) bool) {
		next, limit := max(from, 1), firstPage
		for {
			events, more, err := s.replayPage(ctx, persistenceID, next, to, limit)
			for _, event := range events {
				if !yield(event, nil) {
					return
				}
				if err := ctx.Err(); err != nil {
					yield(nil, s.fail("replay events from", err))
					return
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !more {
				return
			}
			next, limit = events[len(events)-1].GetSequenceNumber()+1, min(4*limit, replayPage)
		}
	}
}

// replayPage returns the next events, and whether there may be more.
func (s *Store) replayPage(ctx context.Context, id string, from, to uint64, limit int) (events []*egopb.Event, more bool, err error) {
	if from > min(to, math.MaxInt64) {
		return nil, false, s.check(ctx)
	}
	size := 0
	err = s.read(ctx, "replay events from", selectReplay, func(rows *sql.Rows) error {
		event, n, err := scanEvent(rows)
		if err != nil {
			return err
		}
		events, size = append(events, event), size+n
		if size >= replayBytes {
			more = true
			return errEnough
		}
		return nil
	}, id, number(from), number(to), limit)
	return events, more || len(events) == limit, err
}

// GetLatestEvent implements [persistence.EventsStore].
func (s *Store) GetLatestEvent(ctx context.Context, persistenceID string) (event *egopb.Event, err error) {
	err = s.read(ctx, "read the latest event from", selectLatestEvent, func(rows *sql.Rows) error {
		event, _, err = scanEvent(rows)
		return err
	}, persistenceID)
	return event, err
}

// GetShardEvents implements [persistence.EventsStore].
func (s *Store) GetShardEvents(ctx context.Context, shard uint32, afterPosition uint64, limit int) ([]*egopb.Event, error) {
	if err := s.checkPage(shard, limit); err != nil {
		return nil, err
	}
	var events []*egopb.Event
	err := s.read(ctx, "read events of a shard from", selectShardEvents, func(rows *sql.Rows) error {
		event, _, err := scanEvent(rows)
		events = append(events, event)
		return err
	}, placeOf(shard, afterPosition), placeOf(shard, maxPosition), limit)
	if err != nil {
		return nil, err
	}
	return events, nil
}

// scanEvent makes an event of a row, and returns the size of its record too. What the columns say counts: the record is
// as the writer gave it.
func scanEvent(rows *sql.Rows) (*egopb.Event, int, error) {
	var (
		place            int64
		number           uint64
		id, kind, record sql.RawBytes
	)
	if err := rows.Scan(&place, &number, &id, &kind, &record); err != nil {
		return nil, 0, err
	}
	event := new(egopb.Event)
	if record == nil {
		event.PersistenceId, event.Kind, event.Deleted = string(id), string(kind), true
	} else if err := proto.Unmarshal(record, event); err != nil {
		return nil, 0, fmt.Errorf("event at position %d of shard %d: %w", positionAt(place), shardAt(place), err)
	}
	event.SequenceNumber, event.Shard, event.Position = number, shardAt(place), positionAt(place)
	return event, len(record), nil
}

// ShardPositions implements [persistence.EventsStore].
func (s *Store) ShardPositions(ctx context.Context) (map[uint32]uint64, error) {
	return s.positions(ctx, selectShardPositions)
}

func (s *Store) positions(ctx context.Context, query string) (map[uint32]uint64, error) {
	positions := make(map[uint32]uint64, s.shards)
	err := s.read(ctx, "read positions from", query, func(rows *sql.Rows) error {
		var place int64
		err := rows.Scan(&place)
		positions[shardAt(place)] = positionAt(place)
		return err
	}, maxPosition, positionBits, s.shards)
	if err != nil {
		return nil, err
	}
	return positions, nil
}

// PersistenceIDs implements [persistence.EventsStore]. The token is the last id of the page before.
func (s *Store) PersistenceIDs(ctx context.Context, pageSize int, pageToken string) ([]string, string, error) {
	if pageSize < 1 {
		return nil, "", invalid("page size %d is below one", pageSize)
	}
	var ids []string
	err := s.read(ctx, "list entities of", selectIDs, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, pageToken, number(min(pageSize, math.MaxInt-1)+1))
	if err != nil {
		return nil, "", err
	}
	if len(ids) <= pageSize {
		return ids, "", nil
	}
	return ids[:pageSize], ids[pageSize-1], nil
}
