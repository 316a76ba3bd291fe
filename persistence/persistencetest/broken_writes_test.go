package persistencetest_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// A writer is WriteEvents of a store.
type writer = func(ctx context.Context, events []*egopb.Event) error

// writes replaces WriteEvents.
func writes(by func(m *memory.Store) writer) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.writeEvents = by(m) })
}

func cloned(events []*egopb.Event) []*egopb.Event {
	clones := make([]*egopb.Event, len(events))
	for i, event := range events {
		clones[i] = proto.CloneOf(event)
	}
	return clones
}

// oneByOne has no transaction around a batch.
func oneByOne(m *memory.Store) writer {
	return func(ctx context.Context, events []*egopb.Event) error {
		for _, event := range events {
			if err := m.WriteEvents(ctx, []*egopb.Event{event}); err != nil {
				return err
			}
		}
		return nil
	}
}

// unfenced gives stale events the next free numbers.
func unfenced(m *memory.Store) writer {
	var mu sync.Mutex
	return func(ctx context.Context, events []*egopb.Event) error {
		mu.Lock()
		defer mu.Unlock()
		err := m.WriteEvents(ctx, events)
		if !errors.Is(err, persistence.ErrConflict) {
			return err
		}
		for _, event := range cloned(events) {
			latest, err := m.GetLatestEvent(ctx, event.GetPersistenceId())
			if err != nil {
				return err
			}
			event.SequenceNumber = latest.GetSequenceNumber() + 1
			if err := m.WriteEvents(ctx, []*egopb.Event{event}); err != nil {
				return err
			}
		}
		return nil
	}
}

// sorted brings a batch into an order before it is written.
func sorted(compare func(a, b *egopb.Event) int) func(m *memory.Store) writer {
	return func(m *memory.Store) writer {
		return func(ctx context.Context, events []*egopb.Event) error {
			events = slices.Clone(events)
			slices.SortStableFunc(events, compare)
			return m.WriteEvents(ctx, events)
		}
	}
}

func byEntity(a, b *egopb.Event) int {
	return strings.Compare(a.GetPersistenceId(), b.GetPersistenceId())
}

func byNumber(a, b *egopb.Event) int {
	return cmp.Compare(a.GetSequenceNumber(), b.GetSequenceNumber())
}

// valid writes only the records that a store may accept.
func valid(m *memory.Store) writer {
	return func(ctx context.Context, events []*egopb.Event) error {
		events = slices.DeleteFunc(slices.Clone(events), func(event *egopb.Event) bool {
			_, err := persistence.Runs([]*egopb.Event{event})
			return err != nil
		})
		return m.WriteEvents(ctx, events)
	}
}

func brokenWrites() []broken {
	return []broken{
		{"WritesOneByOne", []string{"Events/BatchIsAtomic", "Events/BatchWithInvalidRecordIsAtomic", "Events/RandomOperations"}, writes(oneByOne)},
		{"SortsBatches", []string{"Events/AppendManyEntities"}, writes(sorted(byEntity))},
		{"SkipsInvalidRecords", []string{"Events/InvalidRecords", "Events/BatchWithInvalidRecordIsAtomic"}, writes(valid)},
		{"RefusesEmptyBatches", []string{"Events/AppendNothing"}, writes(func(m *memory.Store) writer {
			return func(ctx context.Context, events []*egopb.Event) error {
				if len(events) == 0 {
					return errors.New("nothing to write")
				}
				return m.WriteEvents(ctx, events)
			}
		})},
		{"SaysInvalidInWordsOnly", []string{"Events/InvalidRecords"}, writes(func(m *memory.Store) writer {
			return func(ctx context.Context, events []*egopb.Event) error {
				err := m.WriteEvents(ctx, events)
				if errors.Is(err, persistence.ErrInvalidRecord) {
					return errors.New(err.Error())
				}
				return err
			}
		})},
	}
}

func brokenConflicts() []broken {
	return []broken{
		{"HasNoFence", []string{
			"Events/ConflictOfStaleWriter", "Events/ConflictOfGap", "Events/ConflictWithinBatch", "Events/ConflictNamesFirstEntity",
			"Events/ConflictIsTheSameEachTime", "Events/ConflictOfConcurrentWriters", "Events/BatchIsAtomic", "Events/DeleteKeepsFence",
			"Events/RandomOperations", "Reopen/FenceHoldsBetweenProcesses",
		}, writes(unfenced)},
		{"SwallowsStaleWrites", []string{"Events/ConflictOfStaleWriter", "Events/ConflictOfConcurrentWriters"},
			writes(conflicting(func(*persistence.ConflictError) error { return nil }))},
		{"NamesNoNumbers", []string{"Events/ConflictOfStaleWriter", "Events/ConflictOfGap"},
			writes(conflicting(func(c *persistence.ConflictError) error {
				return &persistence.ConflictError{PersistenceID: c.PersistenceID}
			}))},
		{"SwapsNumbers", []string{"Events/ConflictOfGap"}, writes(conflicting(func(c *persistence.ConflictError) error {
			return &persistence.ConflictError{PersistenceID: c.PersistenceID, Expected: c.Actual + 1, Actual: c.Expected - 1}
		}))},
		{"SaysConflictInWordsOnly", []string{"Events/ConflictIsTheSameEachTime"}, writes(conflicting(func(c *persistence.ConflictError) error {
			return errors.New(c.Error())
		}))},
		{"SortsNumbers", []string{"Events/ConflictWithinBatch"}, writes(sorted(byNumber))},
		{"NamesSmallestEntity", []string{"Events/ConflictNamesFirstEntity"}, writes(sorted(byEntity))},
		{"TakesRepeatForDuplicate", []string{"Events/ConflictIsTheSameEachTime"}, writes(func(m *memory.Store) writer {
			refused := make(map[string]bool)
			return func(ctx context.Context, events []*egopb.Event) error {
				err := m.WriteEvents(ctx, events)
				if err != nil && refused[err.Error()] {
					return nil
				}
				if err != nil {
					refused[err.Error()] = true
				}
				return err
			}
		})},
	}
}

// conflicting replaces conflicts.
func conflicting(by func(c *persistence.ConflictError) error) func(m *memory.Store) writer {
	return func(m *memory.Store) writer {
		return func(ctx context.Context, events []*egopb.Event) error {
			err := m.WriteEvents(ctx, events)
			if conflict, ok := errors.AsType[*persistence.ConflictError](err); ok {
				return by(conflict)
			}
			return err
		}
	}
}
