package memory

import (
	"context"
	"fmt"
	"iter"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// replayPage is how many records a replay fetches under one lock.
const replayPage = 256

// WriteEvents implements [persistence.EventsStore].
func (s *Store) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if len(events) == 0 {
		return nil
	}
	b := batches.Get().(*batch)
	defer b.free()
	if err := b.encode(events, &s.journal.names); err != nil {
		return err
	}
	return s.journal.append(b, events)
}

// ReplayEvents implements [persistence.EventsStore]. Events that are written while the loop runs are not part of it;
// events that are deleted meanwhile may be missing.
func (s *Store) ReplayEvents(ctx context.Context, persistenceID string, from, to uint64) iter.Seq2[*egopb.Event, error] {
	return func(yield func(*egopb.Event, error) bool) {
		if err := s.ready(ctx); err != nil {
			yield(nil, err)
			return
		}
		next, last := max(from, 1), min(to, s.journal.highest(persistenceID))
		if next > last {
			return
		}
		page := make([]record, 0, min(replayPage, last-next+1))
		for next <= last {
			page, next = s.journal.page(page[:0], persistenceID, next, last)
			if len(page) == 0 || !s.yieldAll(ctx, page, yield) {
				return
			}
		}
	}
}

// yieldAll hands over records until the loop breaks off or something fails.
func (s *Store) yieldAll(ctx context.Context, records []record, yield func(*egopb.Event, error) bool) bool {
	for _, record := range records {
		if err := s.ready(ctx); err != nil {
			yield(nil, err)
			return false
		}
		event, err := s.journal.event(record)
		if !yield(event, err) || err != nil {
			return false
		}
	}
	return true
}

// GetLatestEvent implements [persistence.EventsStore].
func (s *Store) GetLatestEvent(ctx context.Context, persistenceID string) (*egopb.Event, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	record, ok := s.journal.latest(persistenceID)
	if !ok {
		return nil, nil
	}
	return s.journal.event(record)
}

// DeleteEvents implements [persistence.EventsStore].
func (s *Store) DeleteEvents(ctx context.Context, persistenceID string, toSequenceNumber uint64) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.journal.delete(persistenceID, toSequenceNumber)
}

// PersistenceIDs implements [persistence.EventsStore]. The token is the last id of the page before.
func (s *Store) PersistenceIDs(ctx context.Context, pageSize int, pageToken string) ([]string, string, error) {
	if err := s.ready(ctx); err != nil {
		return nil, "", err
	}
	if pageSize < 1 {
		return nil, "", fmt.Errorf("%w: page size %d is below one", persistence.ErrInvalidArgument, pageSize)
	}
	ids, more := s.journal.ids.list(pageToken, pageSize)
	if !more {
		return ids, "", nil
	}
	return ids, ids[len(ids)-1], nil
}

// GetShardEvents implements [persistence.EventsStore].
func (s *Store) GetShardEvents(ctx context.Context, shard uint32, afterPosition uint64, limit int) ([]*egopb.Event, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := s.checkPage(shard, limit); err != nil {
		return nil, err
	}
	records := s.journal.after(shard, afterPosition, limit)
	events := make([]*egopb.Event, len(records))
	for i, record := range records {
		event, err := s.journal.event(record)
		if err != nil {
			return nil, err
		}
		events[i] = event
	}
	return events, nil
}

// ShardPositions implements [persistence.EventsStore].
func (s *Store) ShardPositions(ctx context.Context) (map[uint32]uint64, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.journal.positions(), nil
}
