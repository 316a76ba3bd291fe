package testkit_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/testkit"
)

// The testkit knows the rule for ids by itself, as it imports no store contract; this keeps the two from drifting apart.
func TestEntityID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"", "a", " ", "ä/ö", "a\x00", "\x00", "\xff", "a\xc3",
		strings.Repeat("a", persistence.MaxIDLength), strings.Repeat("a", persistence.MaxIDLength+1),
		strings.Repeat("ä", persistence.MaxIDLength/2), strings.Repeat("ä", persistence.MaxIDLength/2+1),
	} {
		failures := failuresOf(t, func(tb testing.TB) { testkit.New(tb, testaccount.New(id)) })
		if persistence.CheckID(id) == nil {
			require.Empty(t, failures, "%.10q of %d bytes", id, len(id))
			continue
		}
		require.Len(t, failures, 1, "%.10q of %d bytes", id, len(id))
		want := ego.ErrInvalidEntityID
		if id == "" {
			want = ego.ErrUndefinedEntityID
		}
		require.Contains(t, failures[0], "New: "+want.Error())
	}
}
