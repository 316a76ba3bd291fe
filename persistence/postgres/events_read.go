package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
)

// eventColumns are what [scanEvent] reads.
const eventColumns = ` persistence_id, sequence_number, shard, position, time_unix_nano, deleted, kind, type_url, payload, tags,
	metadata, command_id, correlation_id, causation_id, traceparent, tracestate, key_id, writer_id, schema_version `

const (
	selectLatestEvent = `SELECT` + eventColumns + `FROM ego.events
		WHERE persistence_id = $1 ORDER BY sequence_number DESC LIMIT 1`

	// What was deleted is always the beginning of a journal, so the replay steps over it at once.
	selectReplay = `SELECT` + eventColumns + `FROM ego.events
		WHERE persistence_id = $1 AND sequence_number <= $3 AND sequence_number >=
			greatest($2, 1 + coalesce((SELECT to_sequence_number FROM ego.deletions WHERE persistence_id = $1), 0))
			AND NOT deleted
		ORDER BY sequence_number LIMIT $4`

	selectShardEvents = `SELECT` + eventColumns + `FROM ego.events
		WHERE shard = $1 AND position > $2 ORDER BY position LIMIT $3`

	selectShardPositions = `SELECT shard, position FROM ego.event_shards WHERE position > 0`

	// Seeks the index once per entity, however many events it has.
	selectIDs = `WITH RECURSIVE ids (id) AS (
			(SELECT persistence_id FROM ego.events WHERE persistence_id > $1 ORDER BY persistence_id LIMIT 1)
			UNION ALL
			SELECT (SELECT e.persistence_id FROM ego.events e WHERE e.persistence_id > ids.id ORDER BY e.persistence_id LIMIT 1)
			FROM ids WHERE ids.id IS NOT NULL)
		SELECT id FROM ids WHERE id IS NOT NULL LIMIT $2`
)

// A replay reads pages of at most replayPage events. The first is smaller, as most replays are short, and none grows far
// beyond replayBytes.
const (
	firstPage   = 250
	replayPage  = 2000
	replayBytes = 4 << 20
)

// ReplayEvents implements [persistence.EventsStore]. It reads by pages, and no connection is held while the loop's body
// runs. Events that are written meanwhile are part of the replay, those that are deleted meanwhile may be missing.
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
	if !isText(id) {
		return nil, false, s.check(ctx)
	}
	size := 0
	begin := func() { events, size, more = nil, 0, false }
	err = s.read(ctx, "replay events from", selectReplay, []any{id, number(from), number(to), limit}, begin,
		func(rows pgx.Rows) error {
			if more {
				return nil
			}
			event, err := scanEvent(rows)
			if err != nil {
				return err
			}
			events, size = append(events, event), size+len(event.GetPayload().GetValue())
			more = size >= replayBytes
			return nil
		})
	if err != nil {
		return nil, false, err
	}
	return events, more || len(events) == limit, nil
}

// GetLatestEvent implements [persistence.EventsStore].
func (s *Store) GetLatestEvent(ctx context.Context, persistenceID string) (*egopb.Event, error) {
	if !isText(persistenceID) {
		return nil, s.check(ctx)
	}
	events, err := readAll(ctx, s, "read the latest event from", selectLatestEvent, []any{persistenceID}, scanEvent)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	return events[0], nil
}

// GetShardEvents implements [persistence.EventsStore].
func (s *Store) GetShardEvents(ctx context.Context, shard uint32, afterPosition uint64, limit int) ([]*egopb.Event, error) {
	if err := s.checkPage(shard, limit); err != nil {
		return nil, err
	}
	return readAll(ctx, s, "read events of a shard from", selectShardEvents, []any{shard, number(afterPosition), limit}, scanEvent)
}

// scanEvent makes an event of a row.
func scanEvent(rows pgx.Rows) (*egopb.Event, error) {
	var (
		event                                                        = new(egopb.Event)
		typeURL, command, correlation, causation, parent, traceState *string
		key, writer                                                  *string
		payload, metadata                                            []byte
		version                                                      *uint32
	)
	err := rows.Scan(&event.PersistenceId, &event.SequenceNumber, &event.Shard, &event.Position, &event.TimeUnixNano,
		&event.Deleted, &event.Kind, &typeURL, &payload, &event.Tags, &metadata, &command, &correlation, &causation, &parent,
		&traceState, &key, &writer, &version)
	if err != nil {
		return nil, err
	}
	if typeURL != nil {
		event.Payload = &anypb.Any{TypeUrl: *typeURL, Value: payload}
	}
	if parent != nil {
		event.Trace = &egopb.TraceContext{Traceparent: *parent, Tracestate: text(traceState)}
	}
	event.CommandId, event.CorrelationId, event.CausationId = text(command), text(correlation), text(causation)
	event.KeyId, event.WriterId = text(key), text(writer)
	if version != nil {
		event.SchemaVersion = *version
	}
	if metadata != nil {
		if err := json.Unmarshal(metadata, &event.Metadata); err != nil {
			return nil, fmt.Errorf("metadata at position %d of shard %d: %w", event.GetPosition(), event.GetShard(), err)
		}
	}
	return event, nil
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

// ShardPositions implements [persistence.EventsStore].
func (s *Store) ShardPositions(ctx context.Context) (map[uint32]uint64, error) {
	return s.positions(ctx, selectShardPositions)
}

func (s *Store) positions(ctx context.Context, query string) (map[uint32]uint64, error) {
	positions := make(map[uint32]uint64, s.shards)
	err := s.read(ctx, "read positions from", query, nil, func() {}, func(rows pgx.Rows) error {
		var (
			shard    uint32
			position uint64
		)
		err := rows.Scan(&shard, &position)
		positions[shard] = position
		return err
	})
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
	if !isText(pageToken) {
		return nil, "", invalid("the page token is none of this store's")
	}
	ids, err := readAll(ctx, s, "list entities of", selectIDs, []any{pageToken, number(min(pageSize, math.MaxInt-1) + 1)}, scanText)
	if err != nil {
		return nil, "", err
	}
	if len(ids) <= pageSize {
		return ids, "", nil
	}
	return ids[:pageSize], ids[pageSize-1], nil
}

func scanText(rows pgx.Rows) (value string, err error) {
	err = rows.Scan(&value)
	return value, err
}
