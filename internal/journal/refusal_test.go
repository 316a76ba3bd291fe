package journal_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// write stores events past the journal, as another process would.
func (h *harness) write(t *testing.T, names string) {
	t.Helper()
	require.NoError(t, h.store.EventsStore.WriteEvents(t.Context(), events(names)))
}

func TestConflict(t *testing.T) {
	t.Parallel()

	t.Run("OfALoneAppendIsItsError", func(t *testing.T) { // G2
		inBubble(t, func(t *testing.T, h *harness) {
			h.write(t, "a1 a2")
			requireConflict(t, h.Append(t.Context(), events("a2")), "a", 2)
			require.Empty(t, h.commits)
			require.NoError(t, h.Append(t.Context(), events("a3")))
			require.NoError(t, h.Status().Err())
		})
	})
	t.Run("FailsOnlyItsEntity", func(t *testing.T) { // G2
		inBubble(t, func(t *testing.T, h *harness) {
			h.write(t, "a1 a2 a3")
			calls := h.behind(t, "b1", "a3", "c1 d1")
			require.NoError(t, calls[0].wait())
			requireConflict(t, calls[1].wait(), "a", 3)
			require.NoError(t, calls[2].wait())
			require.Equal(t, []string{"b1 a3 c1 d1", "b1 c1 d1"}, h.writes())
			require.Equal(t, []string{"_1", "b1 c1 d1"}, h.commits)
			require.NoError(t, h.Status().Err())
		})
	})
	t.Run("OfSeveralEntitiesFailsThoseOnly", func(t *testing.T) { // G2
		inBubble(t, func(t *testing.T, h *harness) {
			calls := h.behind(t, "a1", "b2", "c1", "d5", "e1", "f9")
			for i, id := range []string{"", "b", "", "d", "", "f"} {
				if id == "" {
					require.NoError(t, calls[i].wait())
				} else {
					requireConflict(t, calls[i].wait(), id, 0)
				}
			}
			require.Equal(t, "a1 c1 e1", h.writes()[3])
		})
	})
	t.Run("FailsAllOfTheAppend", func(t *testing.T) { // an append is atomic
		inBubble(t, func(t *testing.T, h *harness) {
			calls := h.behind(t, "a1 x9 b1", "c1")
			requireConflict(t, calls[0].wait(), "x", 0)
			require.NoError(t, calls[1].wait())
			require.Zero(t, h.stored(t, "a"))
			require.Zero(t, h.stored(t, "b"))
		})
	})
	t.Run("FailsWhatContinuesTheLoser", func(t *testing.T) { // G2: a2 was decided on an a1 that never came to be
		inBubble(t, func(t *testing.T, h *harness) {
			h.write(t, "a1")
			calls := h.behind(t, "a1", "b1", "a2", "a3")
			requireConflict(t, calls[0].wait(), "a", 1)
			require.NoError(t, calls[1].wait())
			requireConflict(t, calls[2].wait(), "a", 1)
			requireConflict(t, calls[3].wait(), "a", 1)
			require.Equal(t, uint64(1), h.stored(t, "a"))
		})
	})
	t.Run("OfRivalsLetsTheFirstWin", func(t *testing.T) { // G2: two activations must not refuse each other for ever
		inBubble(t, func(t *testing.T, h *harness) {
			calls := h.behind(t, "a1", "b1", "a1 a2", "b2", "a2")
			require.NoError(t, calls[0].wait())
			require.NoError(t, calls[1].wait())
			requireConflict(t, calls[2].wait(), "a", 1)
			require.NoError(t, calls[3].wait())
			require.NoError(t, calls[4].wait())
			require.Equal(t, uint64(2), h.stored(t, "a"))
			require.Equal(t, uint64(2), h.stored(t, "b"))
			require.Equal(t, []string{"_1", "a1 b1", "b2 a2"}, h.commits)
		})
	})
	t.Run("OfContinuingAppendsIsNone", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			for _, c := range h.behind(t, "a1", "a2 a3", "a4") {
				require.NoError(t, c.wait())
			}
			require.Equal(t, []string{"a1 a2 a3 a4"}, h.writes())
		})
	})
	t.Run("GoesOnWithWhatCameMeanwhile", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			second := make(gate)
			h.script(second.then(fails(&persistence.ConflictError{PersistenceID: "b", Expected: 1})))
			calls := h.behind(t, "a1", "b1", "c1")
			late := h.append(t, "d1")
			second.open()
			require.NoError(t, late.wait())
			require.NoError(t, calls[0].wait())
			requireConflict(t, calls[1].wait(), "b", 0)
			require.Equal(t, []string{"a1 b1 c1", "a1 c1 d1"}, h.writes())
		})
	})
}

func TestInvalidRecord(t *testing.T) {
	t.Parallel()

	t.Run("FailsOnlyItsEntity", func(t *testing.T) { // G11
		inBubble(t, func(t *testing.T, h *harness) {
			calls := h.behind(t, "a1", "b0", "c1")
			require.NoError(t, calls[0].wait())
			requireNotWritten(t, calls[1].wait(), persistence.ErrInvalidRecord)
			require.NoError(t, calls[2].wait())
		})
	})
	t.Run("WithoutAnEventFailsOnlyItsAppend", func(t *testing.T) { // G11
		inBubble(t, func(t *testing.T, h *harness) {
			calls := h.behind(t, "a1", "b1 nil", "nil", "c1")
			require.NoError(t, calls[0].wait())
			requireNotWritten(t, calls[1].wait(), persistence.ErrInvalidRecord)
			requireNotWritten(t, calls[2].wait(), persistence.ErrInvalidRecord)
			require.NoError(t, calls[3].wait())
			require.Zero(t, h.stored(t, "b"))
		})
	})
}

// refusing returns a decision that refuses every write with an event of the entities, with the same error.
func refusing(err error, ids string) func([]*egopb.Event) error {
	return func(list []*egopb.Event) error {
		for _, e := range list {
			for _, id := range ids {
				if e.GetPersistenceId() == string(id) {
					return err
				}
			}
		}
		return nil
	}
}

func TestRefusalWithoutAName(t *testing.T) {
	t.Parallel()
	errUnnamed := persistence.ErrInvalidRecord
	errForeign := &persistence.ConflictError{PersistenceID: "nobody", Expected: 2, Actual: 1}
	errTooLong := &persistence.InvalidRecordError{PersistenceID: "shortened…", Reason: "too long"}

	for name, err := range map[string]error{"Invalid": errUnnamed, "ForeignConflict": errForeign, "ShortenedID": errTooLong,
		"ConflictWithoutDetails": persistence.ErrConflict} {
		t.Run(name+"FailsOnlyTheAppendsItIsAbout", func(t *testing.T) { // G11
			inBubble(t, func(t *testing.T, h *harness) {
				h.store.refuse = refusing(err, "fx")
				names := make([]string, 26)
				for i := range names {
					names[i] = string(rune('a'+i)) + "1"
				}
				for i, c := range h.behind(t, names...) {
					if id := names[i][:1]; id == "f" || id == "x" {
						requireNotWritten(t, c.wait(), err)
						require.Zero(t, h.stored(t, id))
					} else {
						require.NoError(t, c.wait())
					}
				}
				require.Less(t, len(h.writes()), 20, "halving, not one by one: %q", h.writes())
			})
		})
	}
	t.Run("OfAllEndsToo", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			h.store.refuse = refusing(errUnnamed, "abcdefgh")
			for _, c := range h.behind(t, "a1", "b1", "c1", "d1", "e1", "f1", "g1", "h1") {
				requireNotWritten(t, c.wait(), errUnnamed)
			}
			require.Len(t, h.writes(), 11) // 8, 4 and 2 at a time, then each alone
		})
	})
	t.Run("WidensAgainAfterwards", func(t *testing.T) {
		inBubble(t, func(t *testing.T, h *harness) {
			h.store.refuse = refusing(errUnnamed, "a")
			names := []string{"a1"}
			for i := range 31 {
				names = append(names, "b"+strconv.Itoa(i+1))
			}
			calls := h.behind(t, names...)
			require.ErrorIs(t, calls[0].wait(), errUnnamed)
			require.NoError(t, calls[31].wait())
			require.Len(t, h.writes(), 11) // 32 … 1 is six, then 1, 2, 4, 8 and the 16 left
			require.Equal(t, uint64(31), h.stored(t, "b"))
		})
	})
}

func TestRefusedAppendIsWithdrawnOnceItsContextEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, h *harness) {
		second := make(gate)
		h.script(second.then(fails(&persistence.ConflictError{PersistenceID: "b", Expected: 1})))
		calls := h.behind(t, "a1", "b1", "c1")
		calls[0].cancel()
		require.True(t, calls[0].waits(), "its write is in flight")
		second.open()
		synctest.Wait()
		require.Equal(t, []string{"a1 b1 c1", "c1"}, h.writes())
		requireNotWritten(t, calls[0].wait(), context.Canceled)
		require.Zero(t, h.stored(t, "a"))
	})
}
