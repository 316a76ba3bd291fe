package mongo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOperationsNameEveryIndex holds what docs/operations.md says of the collections against the layout.
func TestOperationsNameEveryIndex(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	require.NoError(t, err)
	rows := make(map[string]string) // by the collections that a row names
	for line := range strings.Lines(string(page)) {
		if names, rest, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok {
			for name := range strings.SplitSeq(names, ", ") {
				rows[name] = rest
			}
		}
	}
	for _, name := range []string{metaCollection, logCollection, turnCollection, entityCollection, deletionCollection, stateCollection, snapshotCollection,
		timerCollection, claimCollection, batchCollection, consumerCollection, keyringCollection, letterCollection} {
		require.Contains(t, rows, "`"+name+"`", "docs/operations.md does not say what it is for")
	}
	for _, i := range indexes() {
		var fields []string
		for _, key := range i.keys {
			fields = append(fields, key.Key)
		}
		shown := "`(" + strings.Join(fields, ", ") + ")`"
		if i.unique {
			shown = "unique " + shown
		}
		require.Contains(t, rows["`"+i.collection+"`"], shown, "docs/operations.md does not say why %s has it", i.collection)
	}
}
