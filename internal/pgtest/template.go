package pgtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// A template is a cluster that was made once and that all servers of a test binary are copies of, as initdb takes longer
// than a copy.
type template struct {
	once sync.Once
	dir  string
	err  error
}

func (t *template) copyTo(dir string) error {
	t.once.Do(func() { t.err = t.create() })
	if t.err != nil {
		return t.err
	}
	return os.CopyFS(dir, os.DirFS(filepath.Join(t.dir, "data")))
}

// create makes the cluster. Its collation is not that of bytes, so that a store that forgets to say which it wants fails.
func (t *template) create() (err error) {
	bin, err := binDir()
	if err != nil {
		return err
	}
	owner, err := serverUser()
	if err != nil {
		return err
	}
	if t.dir, err = os.MkdirTemp("", "ego-pg"); err != nil {
		return err
	}
	if err := chown(t.dir, owner); err != nil {
		return err
	}
	args := []string{"-D", filepath.Join(t.dir, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--no-sync", "--no-instructions", "--locale=C.UTF-8"}
	if major(bin) >= 15 {
		args = append(args, "--locale-provider=icu", "--icu-locale=en-US")
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), args...) //nolint:gosec,noctx // ends by itself
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	initdb.Dir = t.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	return nil
}

func (t *template) remove() {
	if t.dir != "" {
		_ = os.RemoveAll(t.dir) // what is left is in the temporary directory
	}
}

// chown gives files to the user that the server runs as, and takes from others what the server wants for itself alone.
func chown(dir string, owner *syscall.Credential) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700) //nolint:gosec // of a directory
		}
		if err != nil || owner == nil {
			return err
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid)) //nolint:gosec // nobody else writes to the directory yet
	})
}

// binDir returns the directory of the newest server binaries.
func binDir() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.New("pgtest: no PostgreSQL server binaries on this machine")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // zero sorts first
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// major returns the major version that a directory of binaries says it has.
func major(bin string) int {
	out, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output() //nolint:gosec,noctx // ends by itself
	if err != nil {
		return 0
	}
	fields := strings.FieldsFunc(string(out), func(r rune) bool { return r < '0' || r > '9' })
	n, _ := strconv.Atoi(fields[0]) // zero is as old as can be
	return n
}
