package journal_test

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/persistence"
)

func TestNew(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "journal: no store", func() { journal.New(journal.Config{}) })
}

func TestAppend(t *testing.T) {
	t.Parallel()

	t.Run("IsDurableWhenItReturns", func(t *testing.T) { // G1
		inBubble(t, func(t *testing.T, h *harness) {
			require.NoError(t, h.Append(t.Context(), events("a1 a2 b1")))
			require.Equal(t, uint64(2), h.stored(t, "a"))
			require.Equal(t, uint64(1), h.stored(t, "b"))
			require.Equal(t, []string{"a1 a2 b1"}, h.commits)
		})
	})
	t.Run("OfNothingDoesNothing", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			require.NoError(t, h.Append(t.Context(), nil))
			require.Empty(t, h.store.writes())
		})
	})
	t.Run("AloneWritesInItsCaller", func(t *testing.T) {
		var writer string
		inBubble(t, func(t *testing.T, h *harness) {
			h.script(func(context.Context, func() error) error {
				writer = stack()
				return nil
			})
			require.NoError(t, h.Append(t.Context(), events("a1")))
			require.Contains(t, writer, "TestAppend")
		})
	})
	t.Run("WaitsForTheWriteInFlightAndGoesWithTheOthers", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			calls := []*call{h.append(t, "a1"), h.append(t, "b1 b2"), h.append(t, "c1"), h.append(t, "d1 e1")}
			for _, c := range calls {
				require.True(t, c.waits())
			}
			require.Equal(t, []string{"a1"}, h.store.writes())
			require.Equal(t, 3, h.Status().PendingAppends)
			require.Equal(t, 5, h.Status().PendingEvents)
			first.open()
			for _, c := range calls {
				require.NoError(t, c.wait())
			}
			require.Equal(t, []string{"a1", "b1 b2 c1 d1 e1"}, h.store.writes())
			require.Equal(t, h.store.writes(), h.commits)
		})
	})
	t.Run("IsAnsweredBeforeOthersAreWritten", func(t *testing.T) { // nobody writes for others in his own time
		inBubble(t, func(t *testing.T, h *harness) {
			first, second := make(gate), make(gate)
			h.script(first.obedient, second.obedient)
			a, b := h.append(t, "a1"), h.append(t, "b1")
			first.open()
			require.NoError(t, a.wait())
			require.True(t, b.waits())
			second.open()
			require.NoError(t, b.wait())
		})
	})
	t.Run("GathersBehindTheBackgroundWriterToo", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			first, second := make(gate), make(gate)
			h.script(first.obedient, second.obedient)
			h.append(t, "a1")
			h.append(t, "b1")
			first.open()
			synctest.Wait()
			h.append(t, "c1")
			last := h.append(t, "d1")
			require.Equal(t, []string{"a1", "b1"}, h.store.writes())
			second.open()
			require.NoError(t, last.wait())
			require.Equal(t, []string{"a1", "b1", "c1 d1"}, h.store.writes())
		})
	})
	t.Run("WritesInItsCallerAgainOnceNothingIsLeft", func(t *testing.T) {
		var writer string
		inBubble(t, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient, nil, func(context.Context, func() error) error {
				writer = stack()
				return nil
			})
			h.append(t, "a1")
			b := h.append(t, "b1")
			first.open()
			require.NoError(t, b.wait())
			synctest.Wait()
			require.NoError(t, h.Append(t.Context(), events("c1")))
			require.Contains(t, writer, "TestAppend")
		})
	})
}

func stack() string {
	buffer := make([]byte, 1<<16)
	return string(buffer[:runtime.Stack(buffer, false)])
}

func TestBatch(t *testing.T) {
	t.Parallel()

	t.Run("HoldsAtMostMaxEvents", func(t *testing.T) {
		withConfig(t, journal.Config{MaxEvents: 3}, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			h.append(t, "a1")
			for _, names := range []string{"b1", "c1 c2", "d1", "e1 e2 e3 e4", "f1", "g1 g2", "h1"} {
				h.append(t, names)
			}
			first.open()
			synctest.Wait()
			require.Equal(t, []string{"a1", "b1 c1 c2", "d1", "e1 e2 e3 e4", "f1 g1 g2", "h1"}, h.store.writes())
		})
	})
	t.Run("HoldsAtMostMaxBytes", func(t *testing.T) {
		withConfig(t, journal.Config{MaxBytes: 10_000}, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			h.append(t, "a1")
			for _, id := range []string{"b", "c", "d"} {
				go func() { _ = h.Append(t.Context(), []*egopb.Event{large(id, 4000)}) }()
				synctest.Wait()
			}
			go func() { _ = h.Append(t.Context(), []*egopb.Event{large("e", 40_000)}) }()
			synctest.Wait()
			h.append(t, "f1")
			h.append(t, "g1")
			first.open()
			synctest.Wait()
			require.Equal(t, []string{"a1", "b1 c1", "d1", "e1", "f1 g1"}, h.store.writes())
		})
	})
	t.Run("TakesInThoseWhoWereJustAnswered", func(t *testing.T) { // or else half of them would take turns with the others
		inBubble(t, func(t *testing.T, h *harness) {
			const appenders, each = 16, 50
			h.store.refuse = func([]*egopb.Event) error {
				<-time.After(time.Millisecond)
				return nil
			}
			var all sync.WaitGroup
			for i := range appenders {
				w := newEntityWriter(t, strconv.Itoa(i))
				all.Go(func() {
					for range each {
						if err := w.append(t.Context(), h.Append); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			full := float64(appenders*each) / float64(len(h.store.writes()))
			require.Greater(t, full, 0.6*appenders, "events in a write")
		})
	})
	t.Run("KeepsTheOrderOfArrival", func(t *testing.T) {
		withConfig(t, journal.Config{MaxEvents: 7}, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(append([]fate{first.obedient}, many(50, func(context.Context, func() error) error { return nil })...)...)
			var order []string
			h.append(t, "a1")
			for i := range 26 * 2 {
				id := string(rune('A' + i%26 + 32*(i/26)))
				order = append(order, id+"7")
				h.append(t, id+"7")
			}
			first.open()
			synctest.Wait()
			require.Equal(t, strings.Join(order, " "), strings.Join(h.store.writes()[1:], " "))
		})
	})
}

func many(n int, f fate) []fate {
	fates := make([]fate, n)
	for i := range fates {
		fates[i] = f
	}
	return fates
}

func large(id string, size int) *egopb.Event {
	return &egopb.Event{PersistenceId: id, SequenceNumber: 1, Payload: &anypb.Any{Value: make([]byte, size)}}
}

func TestHooks(t *testing.T) {
	t.Parallel()

	t.Run("OnCommitComesBeforeTheAnswers", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			first, woken := make(gate), make(gate)
			store := &scriptedStore{EventsStore: newMemoryStore(t), script: []fate{first.obedient}}
			j := journal.New(journal.Config{Store: store, OnCommit: func([]*egopb.Event) { <-woken }})
			h := &harness{Journal: j, store: store}
			a, b := h.append(t, "a1"), h.append(t, "b1")
			first.open()
			require.True(t, a.waits())
			woken.open()
			require.NoError(t, a.wait())
			require.NoError(t, b.wait())
			require.NoError(t, j.Stop(t.Context()))
		})
	})
	t.Run("ObserveSeesEveryWrite", func(t *testing.T) {
		var mu sync.Mutex
		var writes []journal.Write
		var bytes []int
		config := journal.Config{Observe: func(w journal.Write) {
			mu.Lock()
			defer mu.Unlock()
			bytes, w.Bytes = append(bytes, w.Bytes), 0
			writes = append(writes, w)
		}}
		withConfig(t, config, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient, nil, nil, fails(errDown), fails(errLost))
			a := h.append(t, "a1 a2")
			h.append(t, "b1")
			c := h.append(t, "c2")
			<-time.After(time.Second)
			first.open()
			require.NoError(t, a.wait())
			requireConflict(t, c.wait(), "c", 0)
			synctest.Wait()
			require.ErrorIs(t, h.Append(t.Context(), events("d1")), errDown)
			require.ErrorIs(t, h.Append(t.Context(), events("d1")), errLost)
			require.ErrorIs(t, h.Append(t.Context(), events("nil")), persistence.ErrInvalidRecord)

			mu.Lock()
			defer mu.Unlock()
			conflict := writes[1].Err
			require.ErrorIs(t, conflict, persistence.ErrConflict)
			invalid := writes[5].Err
			require.ErrorIs(t, invalid, persistence.ErrInvalidRecord)
			require.Equal(t, []journal.Write{
				{Appends: 1, Events: 2, Duration: time.Second, Outcome: journal.Committed},
				{Appends: 2, Events: 2, Outcome: journal.Conflicted, Err: conflict},
				{Appends: 1, Events: 1, Outcome: journal.Committed},
				{Appends: 1, Events: 1, Outcome: journal.NotWritten, Err: errDown},
				{Appends: 1, Events: 1, Outcome: journal.Unknown, Err: errLost},
				{Appends: 1, Events: 1, Outcome: journal.Rejected, Err: invalid},
			}, writes)
			require.NotContains(t, bytes[:5], 0)
		})
	})
	t.Run("OutcomesHaveNames", func(t *testing.T) {
		t.Parallel()
		names := map[journal.Outcome]string{
			journal.Committed: "committed", journal.Conflicted: "conflict", journal.Rejected: "invalid",
			journal.NotWritten: "not_written", journal.Unknown: "unknown",
		}
		for outcome, name := range names {
			require.Equal(t, name, outcome.String())
		}
	})
}
