package journal_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/journal"
)

func TestBackPressure(t *testing.T) {
	t.Parallel()

	t.Run("BoundsTheGatheredEvents", func(t *testing.T) { // G12
		withConfig(t, journal.Config{MaxPendingEvents: 3, MaxEvents: 2}, func(t *testing.T, h *harness) {
			first, second := make(gate), make(gate)
			h.script(first.obedient, second.obedient)
			h.append(t, "a1")
			calls := []*call{h.append(t, "b1 b2"), h.append(t, "c1 c2"), h.append(t, "d1"), h.append(t, "e1")}
			status := h.Status()
			require.Equal(t, 2, status.PendingEvents, "c1 c2 do not fit, and d1 does not overtake them")
			require.Equal(t, 3, status.WaitingAppends)

			first.open()
			synctest.Wait()
			status = h.Status()
			require.Equal(t, 3, status.PendingEvents)
			require.Equal(t, 1, status.WaitingAppends)
			second.open()
			for _, c := range calls {
				require.NoError(t, c.wait())
			}
			require.Equal(t, []string{"a1", "b1 b2", "c1 c2", "d1 e1"}, h.store.writes())
		})
	})
	t.Run("BoundsTheGatheredBytes", func(t *testing.T) { // G12
		withConfig(t, journal.Config{MaxPendingBytes: 10_000}, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			h.append(t, "a1")
			for _, id := range []string{"b", "c", "d"} {
				go func() { _ = h.Append(t.Context(), []*egopb.Event{large(id, 4000)}) }()
				synctest.Wait()
			}
			require.Equal(t, 2, h.Status().PendingAppends)
			require.LessOrEqual(t, h.Status().PendingBytes, 10_000)
			require.Equal(t, 1, h.Status().WaitingAppends)
			first.open()
			synctest.Wait()
			require.Equal(t, []string{"a1", "b1 c1", "d1"}, h.store.writes())
		})
	})
	t.Run("LetsAnAppendThroughThatIsLargerThanTheBound", func(t *testing.T) {
		withConfig(t, journal.Config{MaxPendingEvents: 2}, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			h.append(t, "a1")
			b, c, d := h.append(t, "b1"), h.append(t, "c1 c2 c3"), h.append(t, "d1")
			first.open()
			require.NoError(t, b.wait())
			require.NoError(t, c.wait())
			require.NoError(t, d.wait())
			require.Equal(t, []string{"a1", "b1", "c1 c2 c3", "d1"}, h.store.writes())
		})
	})
	t.Run("EndsWithTheContextOfTheAppender", func(t *testing.T) { // G12
		withConfig(t, journal.Config{MaxPendingEvents: 1}, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			h.append(t, "a1")
			b, c, d := h.append(t, "b1"), h.append(t, "c1"), h.append(t, "d1")
			c.cancel()
			requireNotWritten(t, c.wait(), context.Canceled)
			first.open()
			require.NoError(t, b.wait())
			require.NoError(t, d.wait())
			require.Equal(t, []string{"a1", "b1", "d1"}, h.store.writes())
		})
	})
	t.Run("MakesRoomWhenAGatheredAppendIsWithdrawn", func(t *testing.T) {
		withConfig(t, journal.Config{MaxPendingEvents: 2}, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			h.append(t, "a1")
			b, c, d := h.append(t, "b1 b2"), h.append(t, "c1"), h.append(t, "d1")
			b.cancel()
			requireNotWritten(t, b.wait(), context.Canceled)
			require.Equal(t, 2, h.Status().PendingAppends)
			first.open()
			require.NoError(t, c.wait())
			require.NoError(t, d.wait())
			require.Equal(t, []string{"a1", "c1 d1"}, h.store.writes())
		})
	})
	t.Run("StarvesNobody", func(t *testing.T) { // G12: a large append among a stream of small ones
		withConfig(t, journal.Config{MaxPendingEvents: 4, MaxEvents: 4}, func(t *testing.T, h *harness) {
			h.store.refuse = func([]*egopb.Event) error {
				<-time.After(time.Millisecond)
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			for _, id := range "abcdefgh" {
				go func() {
					e := &egopb.Event{PersistenceId: string(id)}
					for ctx.Err() == nil {
						e.SequenceNumber++
						_ = h.Append(ctx, []*egopb.Event{e})
					}
				}()
			}
			<-time.After(time.Second)
			started := time.Now()
			require.NoError(t, h.Append(ctx, events("z1 z2 z3 z4")))
			require.LessOrEqual(t, time.Since(started), 5*time.Millisecond)
			cancel()
			synctest.Wait()
		})
	})
}

func TestStop(t *testing.T) {
	t.Parallel()

	t.Run("RefusesAppends", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			require.NoError(t, h.Append(t.Context(), events("a1")))
			require.NoError(t, h.Stop(t.Context()))
			requireNotWritten(t, h.Append(t.Context(), events("a2")), journal.ErrStopped)
			require.Equal(t, uint64(1), h.stored(t, "a"))
			require.ErrorIs(t, h.Status().Err(), journal.ErrStopped)
			require.NoError(t, h.Stop(t.Context()), "again")
		})
	})
	t.Run("WritesWhatHasGatheredAndRefusesWhatWaitsForRoom", func(t *testing.T) { // G1
		withConfig(t, journal.Config{MaxPendingEvents: 2}, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			a, b, c, d := h.append(t, "a1"), h.append(t, "b1"), h.append(t, "c1"), h.append(t, "d1")
			stopped := make(chan error, 2)
			for range cap(stopped) {
				go func() { stopped <- h.Stop(t.Context()) }()
			}
			requireNotWritten(t, d.wait(), journal.ErrStopped)
			require.True(t, a.waits())
			require.True(t, b.waits())
			require.Empty(t, stopped)
			first.open()
			for range cap(stopped) {
				require.NoError(t, <-stopped)
			}
			require.NoError(t, a.wait())
			require.NoError(t, b.wait())
			require.NoError(t, c.wait())
			require.Equal(t, uint64(1), h.stored(t, "c"))
		})
	})
	t.Run("WaitsForALoneWrite", func(t *testing.T) { // G1
		inBubble(t, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			a := h.append(t, "a1")
			stopped := make(chan error, 1)
			go func() { stopped <- h.Stop(t.Context()) }()
			require.True(t, a.waits())
			require.Empty(t, stopped)
			first.open()
			require.NoError(t, <-stopped)
			require.NoError(t, a.wait())
		})
	})
	t.Run("LetsTheRestOfARefusedBatchBeWritten", func(t *testing.T) { // G1, G2
		inBubble(t, func(t *testing.T, h *harness) {
			second := make(gate)
			h.script(second.obedient)
			calls := h.behind(t, "a7", "b1")
			stopped := make(chan error, 1)
			go func() { stopped <- h.Stop(t.Context()) }()
			synctest.Wait()
			second.open()
			require.NoError(t, <-stopped)
			requireConflict(t, calls[0].wait(), "a", 0)
			require.NoError(t, calls[1].wait())
		})
	})
	t.Run("LeavesNothingBehindAtOnce", func(t *testing.T) { // no timer, no goroutine: the bubble's clock stands still
		inBubble(t, func(t *testing.T, h *harness) {
			h.behind(t, "a1", "b1")
			started := time.Now()
			require.NoError(t, h.Stop(t.Context()))
			require.Equal(t, started, time.Now())
		})
	})
}
