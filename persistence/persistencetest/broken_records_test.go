package persistencetest_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// altered changes events before they are stored.
func altered(change func(event *egopb.Event)) func(m *memory.Store) persistencetest.Stores {
	return writes(func(m *memory.Store) writer {
		return func(ctx context.Context, events []*egopb.Event) error {
			events = cloned(events)
			for _, event := range events {
				change(event)
			}
			return m.WriteEvents(ctx, events)
		}
	})
}

func brokenRecords() []broken {
	return []broken{
		{"DropsTrace", []string{"Events/AllFields"}, altered(func(event *egopb.Event) { event.Trace = nil })},
		{"DropsWriter", []string{"Events/AllFields"}, altered(func(event *egopb.Event) { event.WriterId = "" })},
		{"ReversesTags", []string{"Events/AllFields"}, altered(func(event *egopb.Event) { slices.Reverse(event.GetTags()) })},
		{"FillsPayload", []string{"Events/EmptyFields"}, altered(func(event *egopb.Event) {
			if event.GetPayload() == nil {
				event.Payload = new(anypb.Any)
			}
		})},
		{"DropsEmptyPayload", []string{"Events/EmptyFields"}, altered(func(event *egopb.Event) {
			if proto.Size(event.GetPayload()) == 0 {
				event.Payload = nil
			}
		})},
		{"DropsEmptyTags", []string{"Events/EmptyFields"}, altered(func(event *egopb.Event) {
			event.Tags = slices.DeleteFunc(event.GetTags(), func(tag string) bool { return tag == "" })
		})},
		{"CutsPayloads", []string{"Events/LargePayloads"}, altered(func(event *egopb.Event) {
			if value := event.GetPayload().GetValue(); len(value) > 1<<16 {
				event.Payload.Value = value[:1<<16]
			}
		})},
		{"TrustsPlacement", []string{"Events/StoreSetsShardAndPosition"}, trustsPlacement},
		{"CountsPositionsFromZero", []string{"Events/Append", "Events/PositionsWithoutGap"}, override(func(o *overridden, m *memory.Store) {
			o.getShardEvents = func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
				events, err := m.GetShardEvents(ctx, shard, after, limit)
				for _, event := range events {
					event.Position--
				}
				return events, err
			}
		})},
		{"LatestIsFirst", []string{"Events/AppendContinues"}, override(func(o *overridden, m *memory.Store) {
			o.getLatestEvent = func(ctx context.Context, id string) (*egopb.Event, error) {
				for event, err := range m.ReplayEvents(ctx, id, 1, 1) {
					return event, err
				}
				return nil, nil
			}
		})},
	}
}

// trustsPlacement returns the shard and position that the writer wrote.
func trustsPlacement(m *memory.Store) persistencetest.Stores {
	placed := make(map[uint64]*egopb.Event)
	return one(&overridden{
		Store: m,
		writeEvents: func(ctx context.Context, events []*egopb.Event) error {
			for _, event := range events {
				placed[event.GetSequenceNumber()] = event
			}
			return m.WriteEvents(ctx, events)
		},
		getShardEvents: func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
			events, err := m.GetShardEvents(ctx, shard, after, limit)
			for _, event := range events {
				if claimed := placed[event.GetSequenceNumber()]; claimed.GetPosition() != 0 {
					event.Shard, event.Position = claimed.GetShard(), claimed.GetPosition()
				}
			}
			return events, err
		},
	})
}

func brokenAliasing() []broken {
	return []broken{
		{"KeepsMessages", []string{"Events/KeepsNothingOfTheCaller"}, keepsMessages},
		{"SharesMessages", []string{"Events/ReturnsWhatTheCallerMayChange"}, override(func(o *overridden, m *memory.Store) {
			cached := make(map[string]*egopb.Event)
			o.getLatestEvent = func(ctx context.Context, id string) (event *egopb.Event, err error) {
				if cached[id] == nil {
					cached[id], err = m.GetLatestEvent(ctx, id)
				}
				return cached[id], err
			}
		})},
		{"SharesPositions", []string{"Events/ReturnsWhatTheCallerMayChange"}, override(func(o *overridden, m *memory.Store) {
			var cached map[uint32]uint64
			o.shardPositions = func(ctx context.Context) (_ map[uint32]uint64, err error) {
				if cached == nil {
					cached, err = m.ShardPositions(ctx)
				}
				return cached, err
			}
		})},
		{"IsBusy", []string{"Events/ConcurrentUse"}, writes(func(m *memory.Store) writer {
			writing := make(chan struct{}, 1)
			return func(ctx context.Context, events []*egopb.Event) error {
				select {
				case writing <- struct{}{}:
				default:
					return errors.New("busy")
				}
				defer func() { <-writing }()
				pass() // others come in meanwhile
				return m.WriteEvents(ctx, events)
			}
		})},
		{"LosesConcurrentWrites", []string{"Events/ConcurrentUse"}, writes(func(m *memory.Store) writer {
			var mu sync.Mutex
			calls := 0
			return func(ctx context.Context, events []*egopb.Event) error {
				mu.Lock()
				calls++
				lost := calls == 20
				mu.Unlock()
				if lost {
					return nil
				}
				return m.WriteEvents(ctx, events)
			}
		})},
	}
}

// keepsMessages keeps what it was given in a cache of latest events.
func keepsMessages(m *memory.Store) persistencetest.Stores {
	cached := make(map[string]*egopb.Event)
	return one(&overridden{
		Store: m,
		writeEvents: func(ctx context.Context, events []*egopb.Event) error {
			for _, event := range events {
				cached[event.GetPersistenceId()] = event
			}
			return m.WriteEvents(ctx, events)
		},
		getLatestEvent: func(ctx context.Context, id string) (*egopb.Event, error) {
			event, err := m.GetLatestEvent(ctx, id)
			if kept := cached[id]; kept != nil {
				kept = proto.CloneOf(kept)
				kept.Shard, kept.Position = event.GetShard(), event.GetPosition()
				return kept, err
			}
			return event, err
		},
	})
}
