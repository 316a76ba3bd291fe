//go:build unix

package egoactor

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRemoveLeftFiles(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	dir := filepath.Join(home, ".goakt", "cluster")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	now := time.Now()
	file := func(name string, age time.Duration) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chtimes(path, now.Add(-age), now.Add(-age)))
		return path
	}
	left, young, held, other := file("peers-1.db", time.Hour), file("peers-2.db", 0), file("peers-3.db", time.Hour), file("mine.db", time.Hour)
	owner, err := os.Open(held)
	require.NoError(t, err)
	defer owner.Close()
	require.NoError(t, syscall.Flock(int(owner.Fd()), syscall.LOCK_EX))

	removeLeftFiles(now)

	require.NoFileExists(t, left)
	require.FileExists(t, young, "its node may not have locked it yet")
	require.FileExists(t, held, "its node runs")
	require.FileExists(t, other)
}
