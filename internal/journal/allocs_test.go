package journal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/journal"
)

// A lone append allocates the context of its write and nothing else.
func TestAllocationsOfALoneAppend(t *testing.T) { //nolint:paralleltest // counts allocations of the process
	j := journal.New(journal.Config{Store: nullStore{}})
	w := newEntityWriter(t, "a")
	allocations := testing.AllocsPerRun(1000, func() {
		if err := w.append(t.Context(), j.Append); err != nil {
			t.Error(err)
		}
	})
	require.LessOrEqual(t, allocations, 1.0)
	require.NoError(t, j.Stop(t.Context()))
}
