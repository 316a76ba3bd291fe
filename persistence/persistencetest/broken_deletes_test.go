package persistencetest_test

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// A deleter is DeleteEvents of a store.
type deleter = func(ctx context.Context, id string, to uint64) error

func deletes(by func(m *memory.Store) deleter) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.deleteEvents = by(m) })
}

// leaves changes what GetLatestEvent returns of a tombstone.
func leaves(change func(tombstone *egopb.Event) *egopb.Event) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) {
		o.getLatestEvent = func(ctx context.Context, id string) (*egopb.Event, error) {
			event, err := m.GetLatestEvent(ctx, id)
			if event.GetDeleted() {
				event = change(event)
			}
			return event, err
		}
	})
}

func brokenDeletes() []broken {
	return []broken{
		{"DeletesExcludingLast", []string{"Events/DeleteUpTo", "Events/DeleteLeavesTombstone", "Events/RandomOperations"},
			deletes(func(m *memory.Store) deleter {
				return func(ctx context.Context, id string, to uint64) error { return m.DeleteEvents(ctx, id, max(to, 1)-1) }
			})},
		{"DeletesAll", []string{"Events/DeleteUpTo", "Events/ConcurrentUse"}, deletes(func(m *memory.Store) deleter {
			return func(ctx context.Context, id string, _ uint64) error { return m.DeleteEvents(ctx, id, 1<<60) }
		})},
		{"DeletesByPattern", []string{"Events/DeleteOfUnknown"}, deletes(func(m *memory.Store) deleter {
			return func(ctx context.Context, id string, to uint64) error {
				return m.DeleteEvents(ctx, strings.TrimSuffix(id, "%"), to)
			}
		})},
		{"LosesTombstone", []string{"Events/DeleteLeavesTombstone", "Events/DeleteErasesContent"},
			leaves(func(*egopb.Event) *egopb.Event { return nil })},
		{"KeepsMetadata", []string{"Events/DeleteErasesContent"}, leaves(func(tombstone *egopb.Event) *egopb.Event {
			tombstone.Metadata = map[string]string{"name": "still known"}
			return tombstone
		})},
		{"DropsKind", []string{"Events/DeleteErasesContent"}, leaves(func(tombstone *egopb.Event) *egopb.Event {
			tombstone.Kind = ""
			return tombstone
		})},
		{"ReplaysTombstones", []string{"Events/DeleteLeavesTombstone", "Events/DeleteUpTo"}, override(replaysTombstones)},
		{"UsesNumbersAgain", []string{"Events/DeleteKeepsFence"}, writes(usesNumbersAgain)},
		{"StartsAgainAfterDelete", []string{"Events/DeleteNumbersGoOn"}, writes(startsAgain)},
		{"SkipsTombstones", []string{"Events/DeleteLeavesShardWithoutGap", "Events/DeleteErasesContent"},
			readsShards(func(m *memory.Store) shardReader {
				return func(ctx context.Context, shard uint32, after uint64, limit int) ([]*egopb.Event, error) {
					events, err := m.GetShardEvents(ctx, shard, after, limit)
					return slices.DeleteFunc(events, (*egopb.Event).GetDeleted), err
				}
			})},
	}
}

// replaysTombstones yields what is left of the latest event as if it were one.
func replaysTombstones(o *overridden, m *memory.Store) {
	o.replayEvents = func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
		return func(yield func(*egopb.Event, error) bool) {
			latest, err := m.GetLatestEvent(ctx, id)
			if latest.GetDeleted() && latest.GetSequenceNumber() >= from && latest.GetSequenceNumber() <= to {
				yield(latest, err)
				return
			}
			m.ReplayEvents(ctx, id, from, to)(yield)
		}
	}
}

// usesNumbersAgain forgets the numbers of an entity when all of its events are deleted.
func usesNumbersAgain(m *memory.Store) writer {
	return func(ctx context.Context, events []*egopb.Event) error {
		latest, err := m.GetLatestEvent(ctx, events[0].GetPersistenceId())
		if err != nil || !latest.GetDeleted() {
			return m.WriteEvents(ctx, events)
		}
		events = cloned(events)
		for i, event := range events {
			event.SequenceNumber = latest.GetSequenceNumber() + uint64(i) + 1
		}
		return m.WriteEvents(ctx, events)
	}
}

// startsAgain expects the first number after all events of an entity are deleted.
func startsAgain(m *memory.Store) writer {
	return func(ctx context.Context, events []*egopb.Event) error {
		latest, err := m.GetLatestEvent(ctx, events[0].GetPersistenceId())
		if err == nil && latest.GetDeleted() {
			return &persistence.ConflictError{PersistenceID: latest.GetPersistenceId(), Expected: events[0].GetSequenceNumber()}
		}
		return m.WriteEvents(ctx, events)
	}
}
