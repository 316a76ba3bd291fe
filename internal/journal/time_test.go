package journal_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/persistence"
)

type contextKey struct{}

func TestContextOfAWrite(t *testing.T) {
	t.Parallel()

	t.Run("IsNotThatOfTheAppender", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "value"))
			var contextErr func() error
			h.script(func(ctx context.Context, write func() error) error {
				contextErr = ctx.Err
				cancel()
				if ctx.Err() != nil || ctx.Value(contextKey{}) != nil {
					return errLost
				}
				if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != journal.DefaultWriteTimeout {
					return errLost
				}
				return write()
			})
			require.NoError(t, h.Append(ctx, events("a1")), "the appender waits for its write")
			require.Equal(t, uint64(1), h.stored(t, "a"))
			require.Equal(t, context.Canceled, contextErr(), "it ends with the write")
		})
	})
	t.Run("EndsAfterTheWriteTimeout", func(t *testing.T) { // G9, G12
		withConfig(t, journal.Config{WriteTimeout: 3 * time.Second}, func(t *testing.T, h *harness) {
			h.script(make(gate).obedient)
			started := time.Now()
			requireUnknown(t, h.Append(t.Context(), events("a1")), context.DeadlineExceeded)
			require.Equal(t, 3*time.Second, time.Since(started))

			h.script(make(gate).obedient)
			started = time.Now()
			for _, c := range h.behind(t, "a1", "b1") {
				requireUnknown(t, c.wait(), context.DeadlineExceeded)
				require.NotErrorIs(t, h.Status().Err(), journal.ErrStuck)
			}
			require.Equal(t, 3*time.Second, time.Since(started))
		})
	})
	t.Run("IsNewForEachAttempt", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			slow := func(ctx context.Context, write func() error) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(journal.DefaultWriteTimeout - time.Second):
					return write()
				}
			}
			h.script(slow, slow, slow)
			calls := h.behind(t, "a1", "b9", "c9")
			require.NoError(t, calls[0].wait())
			requireConflict(t, calls[1].wait(), "b", 0)
			requireConflict(t, calls[2].wait(), "c", 0)
		})
	})
}

func TestContextOfAnAppender(t *testing.T) {
	t.Parallel()

	t.Run("ThatHasEndedWritesNothing", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			requireNotWritten(t, h.Append(ctx, events("a1")), context.Canceled)
			require.Empty(t, h.store.writes())
		})
	})
	t.Run("ThatEndsWhileGatheredWithdrawsTheAppend", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			h.append(t, "a1")
			b, c, d := h.append(t, "b1"), h.append(t, "c1"), h.append(t, "d1")
			c.cancel()
			requireNotWritten(t, c.wait(), context.Canceled)
			d.cancel()
			requireNotWritten(t, d.wait(), context.Canceled)
			require.Equal(t, 1, h.Status().PendingEvents)
			e := h.append(t, "e1")
			first.open()
			require.NoError(t, b.wait())
			require.NoError(t, e.wait())
			require.Equal(t, []string{"a1", "b1 e1"}, h.store.writes())
		})
	})
	t.Run("ThatEndsByItsDeadlineTellsSo", func(t *testing.T) { // G12
		inBubble(t, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.obedient)
			h.append(t, "a1")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			requireNotWritten(t, h.Append(ctx, events("b1")), context.DeadlineExceeded)
			first.open()
		})
	})
	t.Run("ThatEndsWhileItsWriteIsInFlightWaitsForTheWrite", func(t *testing.T) { // G1
		inBubble(t, func(t *testing.T, h *harness) {
			second := make(gate)
			h.script(second.obedient)
			calls := h.behind(t, "a1", "b1")
			calls[0].cancel()
			require.True(t, calls[0].waits())
			second.open()
			require.NoError(t, calls[0].wait(), "it was written, so the appender learns it")
			require.NoError(t, calls[1].wait())
		})
	})
}

func TestStuckWrite(t *testing.T) {
	t.Parallel()
	const limit = journal.DefaultWriteTimeout + time.Second

	t.Run("OfABatchIsAnsweredAfterTheGrace", func(t *testing.T) { // G9, G12
		inBubble(t, func(t *testing.T, h *harness) {
			second := make(gate)
			h.script(second.deaf)
			started := time.Now()
			calls := h.behind(t, "a1", "b1")
			for _, c := range calls {
				err := c.wait()
				requireUnknown(t, err, journal.ErrStuck)
				require.Equal(t, limit, time.Since(started))
			}
			require.True(t, h.Status().Stuck)
			require.ErrorIs(t, h.Status().Err(), journal.ErrStuck)
			require.Equal(t, limit, h.Status().InFlight)

			second.open()
			synctest.Wait()
			require.NoError(t, h.Status().Err(), "the store has answered at last")
			require.Equal(t, []string{"_1", "a1 b1"}, h.commits, "consumers learn of a late commit too")
			require.NoError(t, h.Append(t.Context(), events("a2")))
		})
	})
	t.Run("IsSeenThoughNobodyCameSinceItBegan", func(t *testing.T) { // G12
		inBubble(t, func(t *testing.T, h *harness) {
			slow := func(_ context.Context, write func() error) error {
				<-time.After(4 * time.Second)
				return write()
			}
			second := make(gate)
			h.script(slow, second.deaf)
			started := time.Now()
			a, b := h.append(t, "a1"), h.append(t, "b1")
			require.NoError(t, a.wait())
			requireUnknown(t, b.wait(), journal.ErrStuck)
			require.Equal(t, 4*time.Second+limit, time.Since(started))
			second.open()
		})
	})
	t.Run("RefusesAllThatGathered", func(t *testing.T) { // G12
		withConfig(t, journal.Config{MaxPendingEvents: 2}, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.deaf)
			started := time.Now()
			inline := h.append(t, "a1")
			<-time.After(2 * time.Second)
			calls := []*call{h.append(t, "b1"), h.append(t, "c1"), h.append(t, "d1"), h.append(t, "e1")}
			require.Equal(t, 2, h.Status().WaitingAppends)
			for _, c := range calls {
				requireNotWritten(t, c.wait(), journal.ErrStuck)
			}
			require.Equal(t, limit, time.Since(started), "counted from the start of the write")
			requireNotWritten(t, h.Append(t.Context(), events("f1")), journal.ErrStuck)
			require.Equal(t, limit, time.Since(started), "while the write is stuck, appends fail at once")

			require.True(t, inline.waits(), "it is in the store itself")
			first.open()
			require.NoError(t, inline.wait(), "it returns with what the store said")
			require.NoError(t, h.Append(t.Context(), events("b1")))
			require.Equal(t, []string{"a1", "b1"}, h.store.writes())
		})
	})
	t.Run("IsSeenByTheFirstWhoComesLater", func(t *testing.T) { // G12
		inBubble(t, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.deaf)
			inline := h.append(t, "a1")
			<-time.After(time.Hour)
			require.ErrorIs(t, h.Status().Err(), journal.ErrStuck)
			arrived := time.Now()
			requireNotWritten(t, h.Append(t.Context(), events("b1")), journal.ErrStuck)
			require.Equal(t, arrived, time.Now())
			first.open()
			require.NoError(t, inline.wait())
		})
	})
	t.Run("ThatIsRefusedLateIsNotWrittenAgain", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			second := make(gate)
			h.script(second.deaf)
			for _, c := range h.behind(t, "a1", "b9") {
				require.ErrorIs(t, c.wait(), journal.ErrOutcomeUnknown)
			}
			second.open()
			synctest.Wait()
			require.Equal(t, []string{"a1 b9"}, h.writes())
			require.Zero(t, h.stored(t, "a"))
		})
	})
	t.Run("IsToldFromASlowOne", func(t *testing.T) { // many slow writes in a row are not one stuck write
		inBubble(t, func(t *testing.T, h *harness) {
			slow := func(_ context.Context, write func() error) error {
				<-time.After(limit - time.Millisecond)
				return write()
			}
			h.script(many(6, slow)...)
			for i, name := range []string{"a1", "a2", "a3", "a4", "a5"} {
				next := h.append(t, name)
				other := h.append(t, "b"+name[1:])
				require.NoError(t, next.wait(), "write %d", i)
				require.NoError(t, other.wait(), "write %d", i)
			}
		})
	})
	t.Run("DoesNotHoldStopForLongerThanItsContext", func(t *testing.T) { // G12
		inBubble(t, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.deaf)
			h.append(t, "a1")
			b := h.append(t, "b1")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := h.Stop(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "last write")
			requireNotWritten(t, b.wait(), journal.ErrStuck)
			require.ErrorIs(t, h.Status().Err(), journal.ErrStuck)
			requireNotWritten(t, h.Append(t.Context(), events("c1")), journal.ErrStopped)
			first.open()
			require.NoError(t, h.Stop(t.Context()))
		})
	})
	t.Run("LeavesTheOutcomeOpen", func(t *testing.T) { // G9: what the appenders were told is no proof of anything
		inBubble(t, func(t *testing.T, h *harness) {
			second := make(gate)
			h.script(second.deaf)
			err := h.behind(t, "a1")[0].wait()
			require.False(t, persistence.NotWritten(err))
			second.open()
			synctest.Wait()
			require.Equal(t, uint64(1), h.stored(t, "a"))
		})
	})
}
