package ego_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestArchitectureMapsEveryPackage finds a package, or a file of the root package, that docs/architecture.md does not place.
// What an example or a tool is made of is placed with it.
func TestArchitectureMapsEveryPackage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/architecture.md")
	require.NoError(t, err)
	mapped := func(path string) bool { return strings.Contains(string(page), "`"+filepath.ToSlash(path)+"`") }
	packages := parseTree(t, func(path string) bool { return !isTestFile(path) })
	require.Greater(t, len(packages), 40)
	for dir := range packages {
		parts := strings.Split(filepath.ToSlash(dir), "/")
		switch {
		case dir == ".":
			files, err := filepath.Glob("*.go")
			require.NoError(t, err)
			for _, file := range slices.DeleteFunc(files, isTestFile) {
				require.True(t, mapped(file), "docs/architecture.md does not say what %s is for", file)
			}
		case slices.Contains([]string{"benchmark", "tools", "hack"}, parts[0]):
			require.True(t, mapped(parts[0]), "docs/architecture.md does not say what %s is for", parts[0])
		case parts[0] == "examples":
			require.True(t, mapped(strings.Join(parts[:2], "/")), "docs/architecture.md does not say what %s is for", dir)
		default:
			require.True(t, mapped(dir), "docs/architecture.md does not say what %s is for", dir)
		}
	}
}
