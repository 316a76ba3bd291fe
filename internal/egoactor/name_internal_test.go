package egoactor

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	patience = 2 * time.Minute
	tick     = time.Millisecond
)

// goaktName is what GoAkt takes as the name of an actor.
var goaktName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-_\.]*$`)

// TestKindIsPinned keeps the name under which GoAkt knows the actors of entities.
func TestKindIsPinned(t *testing.T) {
	t.Parallel()
	require.Equal(t, "egoactor.entityActor", reflect.TypeFor[entityActor]().String())
}

func TestActorName(t *testing.T) {
	t.Parallel()
	require.Equal(t, "entity-e-z-a_b.c-d", actorName("a/b.c-d", "e", 35))
	require.NotEqual(t, actorName("a", "e", 1), actorName("a", "e", 2), "an activation never has the name of another")
}

func FuzzActorName(f *testing.F) {
	for _, id := range []string{"", "a", "ä/ö ü", strings.Repeat("x", 3000), "\xff\x00", "-._"} {
		f.Add(id, uint64(1))
	}
	f.Fuzz(func(t *testing.T, id string, n uint64) {
		name := actorName(id, "c3v9xk2p1m0a", n)
		require.Regexp(t, goaktName, name)
		require.LessOrEqual(t, len(name), 255)
	})
}
