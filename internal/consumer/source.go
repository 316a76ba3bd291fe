package consumer

import (
	"context"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A Source is what a consumer reads, shard by shard. A change of a durable state travels as an event too: its number is the
// revision, its payload the state.
type Source interface {
	// Shards returns the number of shards.
	Shards() uint32

	// Heads returns the highest position of every shard that has one.
	Heads(ctx context.Context) (map[uint32]uint64, error)

	// Read returns at most limit records of a shard above a position, in order.
	Read(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error)

	// Gapless reports whether positions follow each other without a gap, so that a reader can prove that it missed none.
	Gapless() bool
}

// Events is the source of all events of a store.
func Events(store persistence.EventsStore) Source { return events{store} }

type events struct{ store persistence.EventsStore }

func (s events) Shards() uint32 { return s.store.ShardCount() }
func (s events) Gapless() bool  { return true }

func (s events) Heads(ctx context.Context) (map[uint32]uint64, error) {
	return s.store.ShardPositions(ctx)
}

func (s events) Read(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
	return s.store.GetShardEvents(ctx, shard, after, limit)
}

// States is the source of the latest states of a store. A consumer sees the latest revision of each entity at least once;
// revisions that were superseded before it came to them are missing.
func States(store persistence.StateStore) Source { return states{store} }

type states struct{ store persistence.StateStore }

func (s states) Shards() uint32 { return s.store.ShardCount() }
func (s states) Gapless() bool  { return false }

func (s states) Heads(ctx context.Context) (map[uint32]uint64, error) {
	return s.store.ShardStatePositions(ctx)
}

func (s states) Read(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
	latest, err := s.store.GetShardStates(ctx, shard, after, limit)
	if err != nil {
		return nil, err
	}
	records := make([]*egopb.Event, len(latest))
	for i, state := range latest {
		records[i] = EventOf(state)
	}
	return records, nil
}

// EventOf returns the change of a durable state as an event. It shares the messages of the state.
func EventOf(state *egopb.DurableState) *egopb.Event {
	return &egopb.Event{
		PersistenceId:  state.GetPersistenceId(),
		SequenceNumber: state.GetRevision(),
		Shard:          state.GetShard(),
		Position:       state.GetPosition(),
		Kind:           state.GetKind(),
		Payload:        state.GetState(),
		TimeUnixNano:   state.GetTimeUnixNano(),
		CommandId:      state.GetCommandId(),
		CorrelationId:  state.GetCorrelationId(),
		CausationId:    state.GetCausationId(),
		Trace:          state.GetTrace(),
		Tags:           state.GetTags(),
		Metadata:       state.GetMetadata(),
		KeyId:          state.GetKeyId(),
		WriterId:       state.GetWriterId(),
		Deleted:        state.GetDeleted(),
	}
}

// StateOf is the way back from [EventOf], without the dedup window and the schema version.
func StateOf(event *egopb.Event) *egopb.DurableState {
	return &egopb.DurableState{
		PersistenceId: event.GetPersistenceId(),
		Revision:      event.GetSequenceNumber(),
		Shard:         event.GetShard(),
		Position:      event.GetPosition(),
		Kind:          event.GetKind(),
		State:         event.GetPayload(),
		TimeUnixNano:  event.GetTimeUnixNano(),
		CommandId:     event.GetCommandId(),
		CorrelationId: event.GetCorrelationId(),
		CausationId:   event.GetCausationId(),
		Trace:         event.GetTrace(),
		Tags:          event.GetTags(),
		Metadata:      event.GetMetadata(),
		KeyId:         event.GetKeyId(),
		WriterId:      event.GetWriterId(),
		Deleted:       event.GetDeleted(),
	}
}
