package persistencetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/encryption"
)

func lifeCases() []Case {
	return []Case{
		{"Erasures/DestroyTheKeys", eraseKeys, needKeys},
		{"Erasures/NoKeyUntilRevived", eraseFence, needKeys},
		{"Erasures/PhasesAndCount", erasePhases, needKeys},
		{"Erasures/WithoutKeys", eraseWithoutKeys, needKeys},
		{"Erasures/Pending", erasePending, needKeys},
		{"Erasures/AgainstConcurrentAdds", eraseRace, needKeys},
		{"Erasures/HoldBetweenProcesses", eraseReopen, needKeys | needReopen},
	}
}

func begin(t testing.TB, s Stores, id string) {
	t.Helper()
	require.NoError(t, s.Keys.BeginErasure(t.Context(), id))
}

func finish(t testing.TB, s Stores, id string) {
	t.Helper()
	require.NoError(t, s.Keys.FinishErasure(t.Context(), id))
}

// requireLife checks what both ways of asking say.
func requireLife(t testing.TB, s Stores, id string, phase encryption.Phase, erasures uint64) {
	t.Helper()
	life, err := s.Keys.LifeOf(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, encryption.Life{Phase: phase, Erasures: erasures}, life)
	_, life, err = s.Keys.DataKeys(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, encryption.Life{Phase: phase, Erasures: erasures}, life)
}

func pending(t testing.TB, s Stores, page int) []string {
	t.Helper()
	var all []string
	after := ""
	for {
		ids, err := s.Keys.PendingErasures(t.Context(), after, page)
		require.NoError(t, err)
		require.LessOrEqual(t, len(ids), page, "more than asked for")
		all = append(all, ids...)
		if len(ids) < page {
			return all
		}
		after = ids[len(ids)-1]
	}
}

func eraseKeys(t testing.TB, s Stores) { // G10
	addKeys(t, s, newKey("a", 1), newKey("a", 2), newKey("b", 1))
	for range 2 {
		begin(t, s, "a")
		requireKeys(t, keysOf(t, s, "a"), encryption.Destroyed(newKey("a", 1)), encryption.Destroyed(newKey("a", 2)))
	}
	requireKeys(t, keysOf(t, s, "b"), newKey("b", 1))
	requireKeys(t, listKeys(t, s, 10), newKey("b", 1))
	finish(t, s, "a")
	require.NoError(t, s.Keys.Revive(t.Context(), "a"))
	requireKeys(t, keysOf(t, s, "a"), encryption.Destroyed(newKey("a", 1)), encryption.Destroyed(newKey("a", 2)))
}

func eraseFence(t testing.TB, s Stores) { // G10
	addKeys(t, s, newKey("a", 1))
	begin(t, s, "a")
	require.ErrorIs(t, s.Keys.AddDataKey(t.Context(), newKey("a", 2)), encryption.ErrErased)
	require.ErrorIs(t, s.Keys.Revive(t.Context(), "a"), encryption.ErrErased, "before the erasure is finished")
	finish(t, s, "a")
	require.ErrorIs(t, s.Keys.AddDataKey(t.Context(), newKey("a", 2)), encryption.ErrErased)
	require.NoError(t, s.Keys.Revive(t.Context(), "a"))
	require.ErrorIs(t, s.Keys.AddDataKey(t.Context(), newKey("a", 1)), encryption.ErrKeyConflict, "versions and ids stay taken")
	addKeys(t, s, newKey("a", 2))
	requireKeys(t, keysOf(t, s, "a"), encryption.Destroyed(newKey("a", 1)), newKey("a", 2))
}

func erasePhases(t testing.TB, s Stores) {
	requireLife(t, s, "a", encryption.Alive, 0)
	finish(t, s, "a")
	require.NoError(t, s.Keys.Revive(t.Context(), "a"))
	requireLife(t, s, "a", encryption.Alive, 0)
	for erasures := range uint64(3) {
		begin(t, s, "a")
		begin(t, s, "a")
		requireLife(t, s, "a", encryption.Erasing, erasures+1)
		finish(t, s, "a")
		finish(t, s, "a")
		requireLife(t, s, "a", encryption.Erased, erasures+1)
		if erasures > 0 { // an erased entity can be erased again as well as a revived one
			continue
		}
		require.NoError(t, s.Keys.Revive(t.Context(), "a"))
		require.NoError(t, s.Keys.Revive(t.Context(), "a"))
		requireLife(t, s, "a", encryption.Alive, 1)
	}
	requireLife(t, s, "b", encryption.Alive, 0)
}

func eraseWithoutKeys(t testing.TB, s Stores) {
	begin(t, s, "a")
	requireLife(t, s, "a", encryption.Erasing, 1)
	require.ErrorIs(t, s.Keys.AddDataKey(t.Context(), newKey("a", 1)), encryption.ErrErased)
	require.Equal(t, []string{"a"}, pending(t, s, 10))
	finish(t, s, "a")
	require.Empty(t, keysOf(t, s, "a"))
}

func erasePending(t testing.TB, s Stores) {
	require.Empty(t, pending(t, s, 10))
	var want []string
	for i := range 9 {
		id := fmt.Sprintf("entity-%d", i)
		begin(t, s, id)
		if i%3 == 0 {
			finish(t, s, id)
			continue
		}
		want = append(want, id)
	}
	for page := 1; page < 8; page++ {
		require.Equal(t, want, pending(t, s, page))
	}
	_, err := s.Keys.PendingErasures(t.Context(), "", 0)
	require.Error(t, err)
}

func eraseRace(t testing.TB, s Stores) { // G10
	for round := range 10 {
		id := fmt.Sprintf("round-%d", round)
		require.NoError(t, together(4, func(i int) error {
			if i == 0 {
				return s.Keys.BeginErasure(t.Context(), id)
			}
			key := newKey(id, 1)
			key.KeyId = fmt.Sprintf("racer-%d", i)
			_ = s.Keys.AddDataKey(t.Context(), key) // it may come before, or be refused
			return nil
		}))
		for _, key := range keysOf(t, s, id) {
			require.True(t, key.GetDestroyed(), "a key has outlived the erasure")
			require.Empty(t, key.GetWrapped())
		}
	}
}

func eraseReopen(t testing.TB, s Stores) { // G10
	other := s.Reopen(t)
	addKeys(t, s, newKey("a", 1))
	requireKeys(t, keysOf(t, other, "a"), newKey("a", 1))
	begin(t, other, "a")
	requireLife(t, s, "a", encryption.Erasing, 1)
	require.ErrorIs(t, s.Keys.AddDataKey(t.Context(), newKey("a", 2)), encryption.ErrErased)
	require.Equal(t, []string{"a"}, pending(t, s, 10))
	finish(t, s, "a")
	requireLife(t, other, "a", encryption.Erased, 1)
}
