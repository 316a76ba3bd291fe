package ego_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGoBlocksOfDocsCompile builds every Go block of the README and the pages under docs, each as a file of a package of its
// own, so a block is a whole file. The packages exist for the go command only, as an overlay of this module.
func TestGoBlocksOfDocsCompile(t *testing.T) {
	t.Parallel()
	root, err := os.Getwd()
	require.NoError(t, err)
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	records, err := filepath.Glob("docs/adr/*.md")
	require.NoError(t, err)
	pages = append(append(pages, records...), "README.md", "CONTRIBUTING.md")
	block := regexp.MustCompile("(?ms)^```go$\n(.*?\n)```$")
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	args := []string{"build", "-mod=readonly", "-overlay", filepath.Join(t.TempDir(), "overlay.json")}
	dir := t.TempDir()
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, found := range block.FindAllSubmatchIndex(text, -1) {
			line := 2 + strings.Count(string(text[:found[0]]), "\n")
			file := filepath.Join(dir, fmt.Sprintf("block%d.go", len(overlay.Replace)))
			name := fmt.Sprintf("internal/docblocks/block%d", len(overlay.Replace))
			require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "//line %s:%d\n%s", filepath.Join(root, page), line, text[found[2]:found[3]]), 0o600))
			overlay.Replace[filepath.Join(root, name, "main.go")] = file
			args = append(args, "./"+name)
		}
	}
	require.NotEmpty(t, overlay.Replace, "no page has a Go block")
	encoded, err := json.Marshal(overlay)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(args[3], encoded, 0o600))
	if len(overlay.Replace) == 1 {
		args = append(args[:4], append([]string{"-o", os.DevNull}, args[4:]...)...)
	}
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
