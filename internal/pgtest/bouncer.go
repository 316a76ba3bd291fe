package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Bouncer starts a pgbouncer in transaction mode in front of the shared server and returns its connection string. It
// returns "" when there is no pgbouncer on this machine, which is a failure when EGO_REQUIRE_SERVICES is 1.
func Bouncer(t testing.TB) string {
	t.Helper()
	binary := bouncerBinary()
	if binary == "" {
		require.NotEqual(t, "1", os.Getenv("EGO_REQUIRE_SERVICES"), "no pgbouncer: run 'make services'")
		t.Log("there is no pgbouncer on this machine: nothing is tested; 'make services' installs it")
		return ""
	}
	target, err := pgx.ParseConfig(URL(t))
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "ego-pg") //nolint:usetesting // the path of a test's own directory is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	password := ""
	if target.Password != "" {
		password = "password='" + target.Password + "'"
	}
	config := fmt.Sprintf(`[databases]
ego = host=%s port=%d %s user=%s dbname=%s

[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = 6
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
`, target.Host, target.Port, password, target.User, target.Database, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pgbouncer.ini"), []byte(config), 0o644)) //nolint:gosec // no secret
	owner, err := serverUser()
	require.NoError(t, err)
	require.NoError(t, chown(dir, owner))

	var log bytes.Buffer
	cmd := exec.Command(binary, filepath.Join(dir, "pgbouncer.ini")) //nolint:gosec,noctx // ends with the test
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // it was told to end
		if t.Failed() {
			t.Logf("pgbouncer: %s", &log)
		}
	})
	url := fmt.Sprintf("host=%s port=6432 user=%s dbname=ego", dir, target.User)
	require.NoError(t, answers(url), "pgbouncer: %s", &log)
	return url
}

func bouncerBinary() string {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// answers waits until a server takes connections.
func answers(url string) error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			err = conn.Close(ctx)
			cancel()
			return err
		}
		cancel()
		select {
		case <-deadline.C:
			return errors.Join(errors.New("pgtest: no answer"), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
