package publishing

import (
	"context"
	"slices"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/projection"
)

// lookahead is how many records of a shard are looked at for one of another entity.
const lookahead = 500

// Ahead finds the event that is published ahead.
type Ahead struct {
	Source consumer.Source
	Open   consumer.Opener
	Filter projection.Filter
	Parked func(ctx context.Context, shard uint32) ([]string, error) // entities whose order an early event would break
}

// next returns the first record after an event that is of another entity and would be published, nil when there is none
// near. All before it of its entity are published or passed over.
func (a *Ahead) next(ctx context.Context, stored *egopb.Event) (*consumer.Record, error) {
	parked, err := a.Parked(ctx, stored.GetShard())
	if err != nil {
		return nil, err
	}
	page, err := a.Source.Read(ctx, stored.GetShard(), stored.GetPosition(), lookahead)
	if err != nil {
		return nil, err
	}
	for _, event := range page {
		id := event.GetPersistenceId()
		if id == stored.GetPersistenceId() || event.GetDeleted() || slices.Contains(parked, id) ||
			!a.Filter.MatchesRecord(event.GetKind(), event.GetTags()) {
			continue
		}
		opened, err := a.Open.Open(ctx, event)
		if err != nil {
			parked = append(parked, id) // what cannot be opened comes before what follows of its entity
			continue
		}
		record := &consumer.Record{Stored: event}
		for _, event := range opened {
			if a.Filter.MatchesMessage(event.Message) {
				record.Opened = append(record.Opened, event)
			}
		}
		if len(record.Opened) > 0 {
			return record, nil
		}
	}
	return nil, nil
}
