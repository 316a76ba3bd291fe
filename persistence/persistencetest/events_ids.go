package persistencetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/persistence"
)

func idCases() []Case {
	return []Case{
		{"Events/OddIDs", oddIDs, needEvents},
		{"Events/PersistenceIDsByPage", idsByPage, needEvents},
		{"Events/PersistenceIDsInByteOrder", idsInByteOrder, needEvents},
		{"Events/PersistenceIDsOfDeletedEntities", idsOfDeleted, needEvents},
		{"Events/PersistenceIDsWhileWriting", idsWhileWriting, needEvents},
		{"Events/PersistenceIDsInvalidPageSize", idsInvalidPageSize, needEvents},
	}
}

// odd returns ids that a careless store mistakes for each other, or for something of its own.
func odd() []string {
	return []string{
		"a", "A", "a ", " a", " ", "  ", "a\t", "a\n", "ab", "a b", "aa",
		"\u00e9", "e\u0301", "E\u0301", "\u00df", "ss", "\u0131", "i", "I", "\u0130", "\ufb01", "fi", "\ufeffa", "a\u200b",
		"\u4e16\u754c", "\U0001f600", "\uffff", "\U0010ffff",
		"%", "_", "a%", "a_", "%a%", "?", "*", "$1", ":a", "@a", "{}", "[a]", "a.b", "$a", "a/b", "a\\b", `\`, `\%`,
		"'", `"`, "`", "''", "a'b", "a' OR '1'='1", "a;--", "--", "/*", "null", "NULL", "true", "0", "00", "1", "-1", "1e3", "0x1",
		"\x01", "\x7f", "a\r\nb", strings.Repeat("x", 1_000), strings.Repeat("x", 999) + "y", strings.Repeat("\u00e9", 1_000),
		strings.Repeat("z", persistence.MaxIDLength),
	}
}

func oddIDs(t testing.TB, s Stores) {
	ids := odd()
	for i, id := range ids {
		write(t, s, eventsOf(id, 1, uint64(i%3+1))...)
	}
	for i, id := range ids {
		want := eventsOf(id, 1, uint64(i%3+1))
		requireEvents(t, s, want, replay(t, s, id, 1, 10))
		requireEvent(t, s, want[len(want)-1], latest(t, s, id))
	}
	for _, id := range ids[:3] { // deleting one leaves those that look like it
		require.NoError(t, s.Events.DeleteEvents(t.Context(), id, 10))
	}
	for i, id := range ids[3:] {
		require.Len(t, replay(t, s, id, 1, 10), (i+3)%3+1, "entity %q", id)
	}
}

// listIDs returns all ids, read in pages.
func listIDs(t testing.TB, s Stores, page int) []string {
	t.Helper()
	var all []string
	for token := ""; ; {
		ids, next, err := s.Events.PersistenceIDs(t.Context(), page, token)
		require.NoError(t, err)
		require.LessOrEqual(t, len(ids), page)
		all = append(all, ids...)
		if next == "" {
			return all
		}
		require.NotEqual(t, token, next, "the pages do not advance")
		require.NotEmpty(t, ids, "a page without ids is not followed by another")
		token = next
	}
}

func idsByPage(t testing.TB, s Stores) {
	require.Empty(t, listIDs(t, s, 10))
	var want []string
	for i := range 24 {
		id := fmt.Sprintf("entity-%02d", i)
		write(t, s, eventsOf(id, 1, 2)...)
		want = append(want, id)
	}
	for _, page := range []int{1, 2, 5, 7, 12, 23, 24, 25, 1_000} {
		require.Equal(t, want, listIDs(t, s, page), "pages of %d", page)
	}
}

func idsInByteOrder(t testing.TB, s Stores) {
	for _, id := range odd() {
		write(t, s, newEvent(id, 1))
	}
	want := odd()
	slices.Sort(want)
	for _, page := range []int{1, 7, 1_000} {
		require.Equal(t, want, listIDs(t, s, page), "pages of %d", page)
	}
}

func idsOfDeleted(t testing.TB, s Stores) {
	for _, id := range []string{"a", "b", "c"} {
		write(t, s, eventsOf(id, 1, 2)...)
	}
	require.NoError(t, s.Events.DeleteEvents(t.Context(), "b", 2))
	require.Equal(t, []string{"a", "b", "c"}, listIDs(t, s, 2), "tombstones count")
}

// idsWhileWriting adds entities between two pages: those that were there are all listed, each once.
func idsWhileWriting(t testing.TB, s Stores) {
	var want, all []string
	for i := range 10 {
		id := fmt.Sprintf("entity-%02d", 10*i)
		write(t, s, newEvent(id, 1))
		want = append(want, id)
	}
	for token, i := "", 0; ; i++ {
		ids, next, err := s.Events.PersistenceIDs(t.Context(), 3, token)
		require.NoError(t, err)
		all = append(all, ids...)
		if next == "" {
			break
		}
		write(t, s, newEvent(fmt.Sprintf("entity-%02d-new", 15*i), 1))
		token = next
	}
	require.Subset(t, all, want)
	require.True(t, slices.IsSorted(all))
	require.Len(t, slices.Compact(slices.Clone(all)), len(all), "an id is listed twice")
}

func idsInvalidPageSize(t testing.TB, s Stores) {
	write(t, s, newEvent("a", 1))
	for _, size := range []int{0, -1, -1 << 31} {
		_, _, err := s.Events.PersistenceIDs(t.Context(), size, "")
		require.ErrorIs(t, err, persistence.ErrInvalidArgument, "page size %d", size)
	}
}
