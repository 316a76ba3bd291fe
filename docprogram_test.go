package ego_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeProgramRuns runs the program of README.md twice, as a reader would: the second run goes on where the first ended.
func TestReadmeProgramRuns(t *testing.T) { // G1
	t.Parallel()
	root, err := os.Getwd()
	require.NoError(t, err)
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	program := regexp.MustCompile("(?ms)^```go\n(package main\n.*?\n)```$").FindSubmatch(page)
	require.NotNil(t, program, "README.md has no program")
	dir := t.TempDir()
	source, overlay, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "counters")
	require.NoError(t, os.WriteFile(source, program[1], 0o600))
	encoded, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, "internal", "docprogram", "main.go"): source}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, encoded, 0o600))
	built, err := exec.CommandContext(t.Context(), "go", "build", "-mod=readonly", "-overlay", overlay, "-o", binary, "./internal/docprogram").CombinedOutput()
	require.NoError(t, err, "%s", built)

	for _, want := range []string{"visits: 1 revision: 1\n", "visits: 2 revision: 2\n"} {
		run := exec.CommandContext(t.Context(), binary)
		run.Dir = dir
		said, err := run.CombinedOutput()
		require.NoError(t, err, "%s", said)
		require.Equal(t, want, string(said))
	}
}
