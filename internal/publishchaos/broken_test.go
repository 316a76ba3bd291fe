package publishchaos_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/publisher"
)

// TestCheckerFindsBrokenPublishers has a process die while its broker is down, and another take over when the broker is back.
// What is published from memory, or recorded as published before the broker has it, must then be missing.
func TestCheckerFindsBrokenPublishers(t *testing.T) { // G6
	t.Parallel()
	for name, c := range map[string]struct {
		first func(b *shelf) publisher.EventPublisher
		want  string
	}{
		"Sound":       {func(b *shelf) publisher.EventPublisher { return b }, ""},
		"OffsetFirst": {func(b *shelf) publisher.EventPublisher { return &hasty{b} }, "entity goes from event 3 to 6"},
		"FromMemory":  {nil, "entity goes from event 3 to 6"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := memory.NewStore()
			require.NoError(t, store.Connect(t.Context()))
			t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
			b := &shelf{}
			fromMemory := c.first == nil
			life := func(open func(b *shelf) publisher.EventPublisher, events int, down bool) {
				b.setDown(down)
				engine := newEngine(store, leaseTime)
				if open != nil {
					require.NoError(t, engine.AddEventPublishers(open(b)))
				}
				require.NoError(t, engine.Start(t.Context()))
				require.NoError(t, engine.Entity(t.Context(), testaccount.New("entity")))
				for range events {
					_, number, err := engine.SendCommand(t.Context(), "entity", &testpb.Deposit{Amount: 1}, time.Minute)
					require.NoError(t, err)
					if fromMemory {
						_ = b.put("entity", number) // whoever keeps it in memory has lost it when the process dies
					}
				}
				if open != nil && (!down || c.want != "") { // what is broken commits its offset while the broker is down
					require.NoError(t, drain(within(t), engine))
				}
				require.NoError(t, engine.Stop(context.Background()))
			}
			life(c.first, 3, false)
			life(c.first, 2, true)
			if fromMemory {
				life(nil, 2, false)
			} else {
				life(func(b *shelf) publisher.EventPublisher { return b }, 2, false)
			}
			journal, err := readJournal(t.Context(), store)
			require.NoError(t, err)
			require.Equal(t, map[string]uint64{"entity": 7}, journal)
			if err = check(journal, b.arrivals()); c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}

var _ publisher.EventPublisher = (*shelf)(nil)

// A shelf is a broker that outlives processes, and a sound publisher on it.
type shelf struct {
	mu   sync.Mutex
	down bool
	all  []arrival
}

func (s *shelf) ID() string                  { return publisherID }
func (s *shelf) Close(context.Context) error { return nil }

func (s *shelf) Publish(_ context.Context, event *egopb.Event) error {
	return s.put(event.GetPersistenceId(), event.GetSequenceNumber())
}

func (s *shelf) put(entity string, number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return publisher.Unavailable(nil)
	}
	s.all = append(s.all, arrival{entity, number})
	return nil
}

func (s *shelf) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *shelf) arrivals() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// A hasty publisher says that events are published before the broker has them: the offset is committed first.
type hasty struct{ *shelf }

func (h *hasty) Publish(ctx context.Context, event *egopb.Event) error {
	_ = h.shelf.Publish(ctx, event)
	return nil
}
