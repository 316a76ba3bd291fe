//go:build unix

package egoactor

import (
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// youngFile is how old a file must be to be taken for left behind: GoAkt locks a new one only a moment after it made it.
const youngFile = time.Minute

// removeLeftFiles removes the files that GoAkt keeps below the home directory while a node runs, and leaves there when the
// process is killed. The lock on a file ends with its process, so one that nobody holds belongs to nobody. It is best
// effort: what cannot be removed does no harm but to the disk.
func removeLeftFiles(now time.Time) {
	home, err := os.UserHomeDir()
	if err != nil {
		return
	}
	paths, _ := filepath.Glob(filepath.Join(home, ".goakt", "cluster", "peers-*.db"))
	for _, path := range paths {
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > youngFile {
			removeUnlocked(path)
		}
	}
}

func removeUnlocked(path string) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		_ = os.Remove(path)
	}
}
