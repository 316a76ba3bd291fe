package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Config is what a server of a test's own can differ in.
type Config struct {
	// Settings are added to postgresql.conf.
	Settings map[string]string
	// Dir is where the cluster is made; a temporary directory when empty. It must be writable for other users.
	Dir string
}

// A Server is a private PostgreSQL server. Its methods are not for concurrent use.
type Server struct {
	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  bytes.Buffer
}

// Start starts a server that only this test uses, and stops it when the test ends.
func Start(t testing.TB, config Config) *Server {
	t.Helper()
	dir := config.Dir
	if dir == "" {
		var err error
		dir, err = os.MkdirTemp("", "ego-pg") //nolint:usetesting // the path of a test's own directory is too long for a socket
		require.NoError(t, err)
	}
	s := &Server{dir: dir}
	t.Cleanup(s.remove)
	require.NoError(t, s.create(config), "no PostgreSQL: run 'make services'")
	require.NoError(t, s.Launch())
	return s
}

// URL returns the connection string of the server.
func (s *Server) URL() string {
	return fmt.Sprintf("host=%s port=5432 user=postgres dbname=postgres", s.dir)
}

// Dir returns the directory of the server, which also holds its socket.
func (s *Server) Dir() string { return s.dir }

// create makes the files of the server.
func (s *Server) create(config Config) error {
	owner, err := serverUser()
	if err != nil {
		return err
	}
	if err := binary.template.copyTo(s.data()); err != nil {
		return err
	}
	if err := chown(s.dir, owner); err != nil {
		return err
	}
	settings := map[string]string{
		"listen_addresses": "''", "unix_socket_directories": "'" + s.dir + "'", "max_connections": "200",
		"shared_buffers": "128MB", "max_wal_size": "4GB", "autovacuum_naptime": "10s",
	}
	maps.Copy(settings, config.Settings)
	return s.Configure(settings)
}

// Configure adds settings, which count from the next start.
func (s *Server) Configure(settings map[string]string) error {
	file, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for name, value := range settings {
		if _, err := fmt.Fprintf(file, "%s = %s\n", name, value); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return file.Close()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Launch starts the server and waits until it answers.
func (s *Server) Launch() error {
	bin, err := binDir()
	if err != nil {
		return err
	}
	owner, err := serverUser()
	if err != nil {
		return err
	}
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", s.data()) //nolint:gosec,noctx // ends with the test process
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	// The kernel tells the server when the thread that started it ends, which must not be before the process does.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	started := make(chan error)
	s.done = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.done)
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	return s.waitReady()
}

func (s *Server) waitReady() error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			err = conn.Close(ctx)
			cancel()
			return err
		}
		cancel()
		select {
		case <-s.done:
			return fmt.Errorf("pgtest: the server did not start: %w\n%s", err, s.log.String())
		case <-deadline.C:
			return fmt.Errorf("pgtest: the server does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop stops the server as an administrator would, cutting its connections.
func (s *Server) Stop() { s.signal(syscall.SIGINT) }

// Kill stops the server as a crash would: it comes back with what its write-ahead log holds.
func (s *Server) Kill() { s.signal(syscall.SIGQUIT) }

func (s *Server) signal(signal syscall.Signal) {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal) // it may have ended
	<-s.done
}

// remove stops the server and deletes its files.
func (s *Server) remove() {
	s.Kill()
	_ = os.RemoveAll(s.dir) // what is left is in the temporary directory
}
