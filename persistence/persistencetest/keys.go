package persistencetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
)

func keyCases() []Case {
	return []Case{
		{"Keys/Add", keyAdd, needKeys},
		{"Keys/VersionsFollow", keyVersions, needKeys},
		{"Keys/OneOfManyAdds", keyRace, needKeys},
		{"Keys/Replace", keyReplace, needKeys},
		{"Keys/ReplaceRefusesOthers", keyReplaceConflict, needKeys},
		{"Keys/List", keyList, needKeys},
		{"Keys/AllFields", keyAllFields, needKeys},
		{"Keys/OddIDs", keyOddIDs, needKeys},
		{"Keys/InvalidKeys", keyInvalid, needKeys},
		{"Keys/KeepsAndSharesNothing", keyAliasing, needKeys},
	}
}

// newKey returns a key as an encryptor would add it.
func newKey(id string, version uint64) *egopb.DataKey {
	return &egopb.DataKey{
		KeyId:         fmt.Sprintf("key-%d", version),
		PersistenceId: id,
		Wrapped:       fmt.Appendf(nil, "wrapped %s/%d", id, version),
		MasterKeyId:   "master-1",
		TimeUnixNano:  1_700_000_000_000_000_000 + int64(version),
		Version:       version,
	}
}

func addKeys(t testing.TB, s Stores, keys ...*egopb.DataKey) {
	t.Helper()
	for _, key := range keys {
		require.NoError(t, s.Keys.AddDataKey(t.Context(), key))
	}
}

func keysOf(t testing.TB, s Stores, id string) []*egopb.DataKey {
	t.Helper()
	keys, _, err := s.Keys.DataKeys(t.Context(), id)
	require.NoError(t, err)
	return keys
}

func requireKeys(t testing.TB, got []*egopb.DataKey, want ...*egopb.DataKey) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		requireProto(t, want[i], got[i])
	}
}

// listKeys returns all keys, read in pages.
func listKeys(t testing.TB, s Stores, page int) []*egopb.DataKey {
	t.Helper()
	var all []*egopb.DataKey
	id, version := "", uint64(0)
	for {
		next, err := s.Keys.ListDataKeys(t.Context(), id, version, page)
		require.NoError(t, err)
		require.LessOrEqual(t, len(next), page, "more keys than asked for")
		all = append(all, next...)
		if len(next) < page {
			return all
		}
		id, version = next[len(next)-1].GetPersistenceId(), next[len(next)-1].GetVersion()
	}
}

func keyAdd(t testing.TB, s Stores) {
	require.Empty(t, keysOf(t, s, "a"))
	addKeys(t, s, newKey("a", 1), newKey("b", 1), newKey("a", 2))
	requireKeys(t, keysOf(t, s, "a"), newKey("a", 1), newKey("a", 2))
	requireKeys(t, keysOf(t, s, "b"), newKey("b", 1))
	require.Empty(t, keysOf(t, s, "unknown"))
}

func keyVersions(t testing.TB, s Stores) {
	require.ErrorIs(t, s.Keys.AddDataKey(t.Context(), newKey("a", 2)), encryption.ErrKeyConflict)
	addKeys(t, s, newKey("a", 1))
	for _, version := range []uint64{1, 3} {
		key := newKey("a", version)
		key.KeyId = "another"
		require.ErrorIs(t, s.Keys.AddDataKey(t.Context(), key), encryption.ErrKeyConflict, "version %d after 1", version)
	}
	again := newKey("a", 2)
	again.KeyId = newKey("a", 1).GetKeyId()
	require.ErrorIs(t, s.Keys.AddDataKey(t.Context(), again), encryption.ErrKeyConflict, "a key id that is taken")
	requireKeys(t, keysOf(t, s, "a"), newKey("a", 1))
}

func keyRace(t testing.TB, s Stores) {
	const racers, rounds = 8, 10
	for round := range rounds {
		id := fmt.Sprintf("round-%d", round)
		won := make([]bool, racers)
		require.NoError(t, together(racers, func(i int) error {
			key := newKey(id, 1)
			key.KeyId = fmt.Sprintf("racer-%d", i)
			err := s.Keys.AddDataKey(t.Context(), key)
			if won[i] = err == nil; won[i] {
				return nil
			}
			require.ErrorIs(t, err, encryption.ErrKeyConflict)
			return nil
		}))
		winner := slices.Index(won, true)
		require.GreaterOrEqual(t, winner, 0)
		require.False(t, slices.Contains(won[winner+1:], true), "two first keys of one entity")
		keys := keysOf(t, s, id)
		require.Len(t, keys, 1)
		require.Equal(t, fmt.Sprintf("racer-%d", winner), keys[0].GetKeyId())
	}
}

// rewrapped returns a key in the wrapping of another master key.
func rewrapped(key *egopb.DataKey) *egopb.DataKey {
	key.Wrapped, key.MasterKeyId = append(key.GetWrapped(), " again"...), "master-2"
	return key
}

func keyReplace(t testing.TB, s Stores) {
	addKeys(t, s, newKey("a", 1), newKey("a", 2))
	require.NoError(t, s.Keys.ReplaceDataKey(t.Context(), rewrapped(newKey("a", 1)), "master-1"))
	requireKeys(t, keysOf(t, s, "a"), rewrapped(newKey("a", 1)), newKey("a", 2))
}

func keyReplaceConflict(t testing.TB, s Stores) {
	addKeys(t, s, newKey("a", 1))
	other := newKey("a", 1)
	other.KeyId = "other"
	for name, err := range map[string]error{
		"unknown version":   s.Keys.ReplaceDataKey(t.Context(), newKey("a", 2), "master-1"),
		"unknown entity":    s.Keys.ReplaceDataKey(t.Context(), newKey("b", 1), "master-1"),
		"another key":       s.Keys.ReplaceDataKey(t.Context(), other, "master-1"),
		"another wrapping":  s.Keys.ReplaceDataKey(t.Context(), rewrapped(newKey("a", 1)), "master-0"),
		"without a wrapper": s.Keys.ReplaceDataKey(t.Context(), rewrapped(newKey("a", 1)), ""),
	} {
		require.ErrorIs(t, err, encryption.ErrKeyConflict, name)
	}
	requireKeys(t, keysOf(t, s, "a"), newKey("a", 1))
	begin(t, s, "a")
	require.ErrorIs(t, s.Keys.ReplaceDataKey(t.Context(), rewrapped(newKey("a", 1)), "master-1"), encryption.ErrKeyConflict, "a destroyed key")
	requireKeys(t, keysOf(t, s, "a"), encryption.Destroyed(newKey("a", 1)))
}

func keyList(t testing.TB, s Stores) {
	require.Empty(t, listKeys(t, s, 10))
	var want []*egopb.DataKey
	for _, id := range []string{"A", "a", "ab", "b", "ä"} { // in the order of their bytes
		for version := range uint64(3) {
			addKeys(t, s, newKey(id, version+1))
			want = append(want, newKey(id, version+1))
		}
	}
	for page := 1; page < 17; page += 3 {
		requireKeys(t, listKeys(t, s, page), want...)
	}
	begin(t, s, "ab")
	requireKeys(t, listKeys(t, s, 2), slices.Delete(want, 6, 9)...)
	for _, limit := range []int{0, -1} {
		_, err := s.Keys.ListDataKeys(t.Context(), "", 0, limit)
		require.Error(t, err, "limit %d", limit)
	}
}

func keyAllFields(t testing.TB, s Stores) {
	key := fill(new(egopb.DataKey))
	key.PersistenceId, key.Version, key.Destroyed = "a", 1, false
	addKeys(t, s, key)
	requireKeys(t, keysOf(t, s, "a"), key)
	requireKeys(t, listKeys(t, s, 10), key)
}

func keyOddIDs(t testing.TB, s Stores) {
	ids := odd()
	for _, id := range ids {
		addKeys(t, s, newKey(id, 1))
	}
	for _, id := range ids[:3] {
		begin(t, s, id)
	}
	for i, id := range ids {
		key := newKey(id, 1)
		if i < 3 {
			key = encryption.Destroyed(key)
		}
		requireKeys(t, keysOf(t, s, id), key)
	}
	slices.Sort(ids[3:])
	got := listKeys(t, s, 7)
	require.Len(t, got, len(ids)-3)
	for i, key := range got {
		require.Equal(t, ids[i+3], key.GetPersistenceId())
	}
}

func keyInvalid(t testing.TB, s Stores) {
	for name, change := range map[string]func(key *egopb.DataKey){
		"no entity":  func(key *egopb.DataKey) { key.PersistenceId = "" },
		"no id":      func(key *egopb.DataKey) { key.KeyId = "" },
		"no version": func(key *egopb.DataKey) { key.Version = 0 },
		"no key":     func(key *egopb.DataKey) { key.Wrapped = nil },
		"destroyed":  func(key *egopb.DataKey) { key.Destroyed = true },
	} {
		key := newKey("a", 1)
		change(key)
		require.ErrorIs(t, s.Keys.AddDataKey(t.Context(), key), encryption.ErrInvalidKey, name)
	}
	require.ErrorIs(t, s.Keys.AddDataKey(t.Context(), nil), encryption.ErrInvalidKey)
	require.Error(t, s.Keys.BeginErasure(t.Context(), ""))
	require.Empty(t, keysOf(t, s, "a"))
}

func keyAliasing(t testing.TB, s Stores) {
	key := newKey("a", 1)
	addKeys(t, s, key)
	for range 3 { // what was written, then what was read
		clear(key.GetWrapped())
		key.KeyId, key.MasterKeyId = "changed", "changed"
		requireKeys(t, keysOf(t, s, "a"), newKey("a", 1))
		key = keysOf(t, s, "a")[0]
	}
	listed := listKeys(t, s, 1)[0]
	clear(listed.GetWrapped())
	requireKeys(t, keysOf(t, s, "a"), newKey("a", 1))
}
