package journal_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/persistence"
)

func TestFailure(t *testing.T) {
	t.Parallel()

	t.Run("OfALoneAppendIsDefiniteWhenTheStoreSaysSo", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			h.script(fails(errDown))
			requireNotWritten(t, h.Append(t.Context(), events("a1")), errDown)
			require.NoError(t, h.Append(t.Context(), events("a1")))
		})
	})
	t.Run("OfALoneAppendIsUnknownOtherwise", func(t *testing.T) { // G9
		inBubble(t, func(t *testing.T, h *harness) {
			h.script(losesReply)
			requireUnknown(t, h.Append(t.Context(), events("a1")), errLost)
			require.Equal(t, uint64(1), h.stored(t, "a"))
			require.Empty(t, h.commits)
		})
	})
	t.Run("OfABatchIsDefiniteForAllItsAppends", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			h.script(fails(errDown))
			for _, c := range h.behind(t, "a1", "b1", "c1") {
				requireNotWritten(t, c.wait(), errDown)
			}
			require.Equal(t, []string{"a1 b1 c1"}, h.writes(), "the journal itself never retries")
		})
	})
	t.Run("OfABatchIsUnknownForAllItsAppends", func(t *testing.T) { // G9
		inBubble(t, func(t *testing.T, h *harness) {
			h.script(losesReply)
			for _, c := range h.behind(t, "a1", "b1", "c1") {
				requireUnknown(t, c.wait(), errLost)
			}
			require.Equal(t, []string{"a1 b1 c1"}, h.writes(), "the journal itself never retries")
			require.Equal(t, uint64(1), h.stored(t, "b"))
		})
	})
	t.Run("OfTheRestAfterAConflictIsTheirs", func(t *testing.T) { // G2, G9
		inBubble(t, func(t *testing.T, h *harness) {
			h.script(nil, losesReply)
			calls := h.behind(t, "a9", "b1", "c1")
			requireConflict(t, calls[0].wait(), "a", 0)
			requireUnknown(t, calls[1].wait(), errLost)
			requireUnknown(t, calls[2].wait(), errLost)
		})
	})
	t.Run("IsOverWithItsWrite", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			h.script(fails(errDown))
			h.behind(t, "a1")
			calls := h.behind(t, "a1", "b1")
			require.NoError(t, calls[0].wait())
			require.NoError(t, calls[1].wait())
		})
	})
}

// exits ends the goroutine that writes, as a failed assertion in a fake store does.
func exits(context.Context, func() error) error {
	runtime.Goexit()
	return nil
}

func TestPanicOfTheStore(t *testing.T) {
	t.Parallel()

	for name, value := range map[string]any{
		"String":                 "boom",
		"Error":                  errLost,
		"ErrorThatProvesNothing": persistence.ErrNotConnected, // it would mean that nothing was written, were it returned
	} {
		t.Run(name+"IsAnUnknownOutcome", func(t *testing.T) { // G9, G11
			inBubble(t, func(t *testing.T, h *harness) {
				h.script(panics(value))
				err := h.Append(t.Context(), events("a1"))
				var panicked *journal.PanicError
				require.ErrorAs(t, err, &panicked)
				require.Equal(t, value, panicked.Value)
				require.Contains(t, string(panicked.Stack), "WriteEvents")
				require.ErrorContains(t, err, "the store panicked")
				requireUnknown(t, err, err)
				require.NoError(t, h.Append(t.Context(), events("a1")), "the journal goes on")
			})
		})
		t.Run(name+"IsAnUnknownOutcomeForABatch", func(t *testing.T) { // G9, G11
			inBubble(t, func(t *testing.T, h *harness) {
				h.script(panics(value))
				for _, c := range h.behind(t, "a1", "b1") {
					err := c.wait()
					var panicked *journal.PanicError
					require.ErrorAs(t, err, &panicked)
					requireUnknown(t, err, err)
				}
				require.NoError(t, h.Append(t.Context(), events("a1")), "the journal goes on")
			})
		})
	}
	t.Run("ExitOfTheGoroutineOfALoneAppendLeavesTheJournalUsable", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			first := make(gate)
			h.script(first.then(exits))
			h.append(t, "a1")
			b := h.append(t, "b1")
			first.open()
			require.NoError(t, b.wait())
			require.NoError(t, h.Append(t.Context(), events("c1")))
		})
	})
	t.Run("ExitOfTheBackgroundWriterIsAnUnknownOutcome", func(t *testing.T) { // G9
		inBubble(t, func(t *testing.T, h *harness) {
			second := make(gate)
			h.script(second.then(exits))
			calls := h.behind(t, "a1", "b1")
			late := h.append(t, "c1")
			second.open()
			for _, c := range calls {
				require.ErrorIs(t, c.wait(), journal.ErrOutcomeUnknown)
			}
			require.NoError(t, late.wait())
		})
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()

	t.Run("TellsSinceWhenTheStoreFails", func(t *testing.T) { // G12
		inBubble(t, func(t *testing.T, h *harness) {
			require.NoError(t, h.Status().Err())
			h.script(fails(errDown), fails(errLost), nil, fails(errDown))
			since := time.Now()
			require.Error(t, h.Append(t.Context(), events("a1")))
			<-time.After(time.Minute)
			require.Error(t, h.Append(t.Context(), events("a1")))
			require.Equal(t, since, h.Status().FailingSince)
			require.ErrorIs(t, h.Status().FailingWith, errLost)
			require.ErrorIs(t, h.Status().Err(), errLost)
			require.ErrorContains(t, h.Status().Err(), since.Format(time.RFC3339))

			require.NoError(t, h.Append(t.Context(), events("a1")))
			require.NoError(t, h.Status().Err())
			require.Zero(t, h.Status().FailingSince)

			require.Error(t, h.Append(t.Context(), events("a2")))
			require.Equal(t, since.Add(time.Minute), h.Status().FailingSince)
		})
	})
	t.Run("OfABatchIsThatOfTheStoreToo", func(t *testing.T) { // G12
		inBubble(t, func(t *testing.T, h *harness) {
			h.script(fails(errDown))
			h.behind(t, "a1", "b1")
			require.ErrorIs(t, h.Status().Err(), errDown)
		})
	})
	t.Run("ARefusalShowsThatTheStoreAnswers", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			h.script(fails(errDown))
			require.Error(t, h.Append(t.Context(), events("a1")))
			require.Error(t, h.Append(t.Context(), events("a7")))
			require.NoError(t, h.Status().Err())
		})
	})
	t.Run("TellsTheAgeOfTheWriteInFlight", func(t *testing.T) { // G12
		inBubble(t, func(t *testing.T, h *harness) {
			require.Zero(t, h.Status().InFlight)
			first := make(gate)
			h.script(first.obedient)
			a := h.append(t, "a1")
			require.Positive(t, h.Status().InFlight)
			<-time.After(2 * time.Second)
			require.Equal(t, 2*time.Second, h.Status().InFlight)
			require.NoError(t, h.Status().Err())
			first.open()
			require.NoError(t, a.wait())
			synctest.Wait()
			require.Zero(t, h.Status().InFlight)
		})
	})
}
