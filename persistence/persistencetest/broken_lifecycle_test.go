package persistencetest_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

func brokenLifecycles() []broken {
	return []broken{
		{"ConnectsOnce", []string{"Lifecycle/ConnectIsIdempotent"}, override(func(o *overridden, _ *memory.Store) {
			o.connect = func(context.Context) error { return errors.New("already connected") }
		})},
		{"DisconnectsOnce", []string{"Lifecycle/DisconnectIsIdempotent"}, override(func(o *overridden, m *memory.Store) {
			closed := false
			o.disconnect = func(ctx context.Context) error {
				if closed {
					return errors.New("already closed")
				}
				closed = true
				return m.Disconnect(ctx)
			}
		})},
		{"ForgetsAtDisconnect", []string{"Lifecycle/ConnectAgainKeepsData"}, override(func(o *overridden, _ *memory.Store) {
			o.disconnect = func(context.Context) error {
				o.Store = memory.NewStore()
				return nil
			}
		})},
		{"ServesAfterDisconnect", []string{"Lifecycle/NotConnected"}, override(func(o *overridden, _ *memory.Store) {
			o.disconnect = func(context.Context) error { return nil }
		})},
	}
}

func brokenContexts() []broken {
	return []broken{
		{"IgnoresContexts", []string{"Context/EndedBefore", "Context/EndedBeforeWriteIsNotWritten"},
			override(func(o *overridden, m *memory.Store) {
				o.writeEvents = func(ctx context.Context, events []*egopb.Event) error {
					return m.WriteEvents(context.WithoutCancel(ctx), events)
				}
			})},
		{"ReadsWithoutTime", []string{"Context/EndedBefore"}, override(func(o *overridden, m *memory.Store) {
			o.getLatestEvent = func(ctx context.Context, id string) (*egopb.Event, error) {
				return m.GetLatestEvent(context.WithoutCancel(ctx), id)
			}
		})},
		{"HidesTheContextError", []string{"Context/EndedBefore", "Context/EndedDuringWrite"},
			override(func(o *overridden, m *memory.Store) {
				o.writeEvents = func(ctx context.Context, events []*egopb.Event) error {
					if m.WriteEvents(ctx, events) != nil {
						return errors.New("driver: bad connection")
					}
					return nil
				}
			})},
		{"LeavesOutcomeOpen", []string{"Context/EndedBeforeWriteIsNotWritten"}, override(func(o *overridden, m *memory.Store) {
			o.writeEvents = func(ctx context.Context, events []*egopb.Event) error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return m.WriteEvents(ctx, events)
			}
		})},
		{"DeniesWhatItWrote", []string{"Context/EndedDuringWrite", "Context/EndedDuringStateWrite"},
			override(func(o *overridden, m *memory.Store) {
				o.writeEvents = func(ctx context.Context, events []*egopb.Event) error {
					return errors.Join(m.WriteEvents(context.WithoutCancel(ctx), events), persistence.DefinitelyNotWritten(ctx.Err()))
				}
				o.writeState = func(ctx context.Context, state *egopb.DurableState) error {
					return errors.Join(m.WriteState(context.WithoutCancel(ctx), state), persistence.DefinitelyNotWritten(ctx.Err()))
				}
			})},
		{"AcknowledgesWithoutWriting", []string{"Context/EndedDuringStateWrite"}, override(func(o *overridden, m *memory.Store) {
			o.writeState = func(ctx context.Context, state *egopb.DurableState) error {
				if ctx.Err() == nil {
					return m.WriteState(ctx, state)
				}
				return nil
			}
		})},
		{"WritesHalfABatch", []string{"Context/EndedDuringWrite"}, override(func(o *overridden, m *memory.Store) {
			o.writeEvents = func(ctx context.Context, events []*egopb.Event) error {
				if ctx.Err() != nil {
					return errors.Join(m.WriteEvents(context.WithoutCancel(ctx), events[:len(events)/2]), ctx.Err())
				}
				return m.WriteEvents(ctx, events)
			}
		})},
		{"ReplaysOn", []string{"Context/EndedDuringReplay"}, override(func(o *overridden, m *memory.Store) {
			o.replayEvents = func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
				return m.ReplayEvents(context.WithoutCancel(ctx), id, from, to)
			}
		})},
		{"EndsReplayInSilence", []string{"Context/EndedDuringReplay"}, override(func(o *overridden, m *memory.Store) {
			o.replayEvents = func(ctx context.Context, id string, from, to uint64) iter.Seq2[*egopb.Event, error] {
				return func(yield func(*egopb.Event, error) bool) {
					for event, err := range m.ReplayEvents(ctx, id, from, to) {
						if err != nil || !yield(event, nil) {
							return
						}
					}
				}
			}
		})},
	}
}

func brokenReopening() []broken {
	withHook := func(change func(s *persistencetest.Stores)) func(m *memory.Store) persistencetest.Stores {
		return func(m *memory.Store) persistencetest.Stores {
			s := one(m)
			change(&s)
			return s
		}
	}
	return []broken{
		{"ReopensEmpty", []string{"Reopen/SeesEverything"}, withHook(func(s *persistencetest.Stores) {
			s.Reopen = func(testing.TB) persistencetest.Stores { return one(memory.NewStore()) }
		})},
		{"AcknowledgesBeforeDurable", []string{"Reopen/AfterKill"}, acknowledgesEarly},
		{"TakesAnyShardCount", []string{"Reopen/ShardCountMismatch"}, withHook(func(s *persistencetest.Stores) {
			s.OpenWithShards = func(testing.TB, uint32) error { return nil }
		})},
		{"RefusesEveryShardCount", []string{"Reopen/ShardCountMismatch"}, withHook(func(s *persistencetest.Stores) {
			s.OpenWithShards = func(_ testing.TB, shards uint32) error {
				return &persistence.ShardCountError{Stored: persistence.DefaultShards, Configured: shards}
			}
		})},
		{"SaysMismatchInWordsOnly", []string{"Reopen/ShardCountMismatch"}, withHook(func(s *persistencetest.Stores) {
			s.OpenWithShards = func(testing.TB, uint32) error { return errors.New("wrong shard count") }
		})},
	}
}

// acknowledgesEarly keeps the newest batch of each entity to itself until the next one.
func acknowledgesEarly(m *memory.Store) persistencetest.Stores {
	var mu sync.Mutex
	buffered := make(map[string][]*egopb.Event)
	s := one(&overridden{Store: m, writeEvents: func(ctx context.Context, events []*egopb.Event) error {
		mu.Lock()
		defer mu.Unlock()
		id := events[0].GetPersistenceId()
		if err := m.WriteEvents(ctx, buffered[id]); err != nil {
			return err
		}
		buffered[id] = events
		return nil
	}})
	s.Reopen = func(testing.TB) persistencetest.Stores { return one(m) }
	return s
}
