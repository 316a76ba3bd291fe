package mongotest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BinaryEnv names the FerretDB to start; make sets it.
const BinaryEnv = "EGO_FERRETDB"

// A Server is a private FerretDB. Its methods are not for concurrent use.
type Server struct {
	dir  string
	url  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  bytes.Buffer
}

// Start starts a server that only this test uses, and stops it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := newServer()
	require.NoError(t, err)
	t.Cleanup(s.remove)
	require.NoError(t, s.Launch())
	return s
}

func newServer() (*Server, error) {
	dir, err := os.MkdirTemp("", "ego-mongo")
	if err != nil {
		return nil, err
	}
	return &Server{dir: dir}, nil
}

// URL returns the connection string of the server.
func (s *Server) URL() string { return s.url }

// Launch starts the server, on the port that it had before if it had one, and waits until it listens.
func (s *Server) Launch() error {
	binary, err := findBinary()
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	args := []string{data}
	if s.url != "" {
		args = append(args, strings.Trim(strings.TrimPrefix(s.url, "mongodb://"), "/"))
	}
	s.cmd = exec.Command(binary, args...) //nolint:gosec,noctx // ends with the test process
	s.cmd.Dir = s.dir
	s.cmd.Stderr = &s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	// The kernel tells the server when the thread that started it ends, which must not be before the process does.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	s.done = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.done)
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	return s.waitReady(out)
}

// waitReady waits until the server has printed its connection string.
func (s *Server) waitReady(out io.Reader) error {
	printed := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		printed <- strings.TrimSpace(line)
	}()
	select {
	case line := <-printed:
		if line != "" {
			s.url = line
			return nil
		}
		s.Kill()
		return fmt.Errorf("mongotest: the server did not start:\n%s", s.log.String())
	case <-time.After(30 * time.Second):
		s.Kill()
		return fmt.Errorf("mongotest: the server does not answer:\n%s", s.log.String())
	}
}

// Kill kills the server. [Server.Launch] starts it again on the same data.
func (s *Server) Kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
}

// Signal sends a signal to the server, such as SIGSTOP.
func (s *Server) Signal(signal syscall.Signal) error { return s.cmd.Process.Signal(signal) }

// remove stops the server and deletes its files.
func (s *Server) remove() {
	s.Kill()
	_ = os.RemoveAll(s.dir) // what is left is in the temporary directory
}

// findBinary returns the FerretDB to start: the one that is named, the one that make built, or one on the path.
func findBinary() (string, error) {
	if named := os.Getenv(BinaryEnv); named != "" {
		return named, nil
	}
	cache, err := os.UserCacheDir()
	if err == nil {
		built, _ := filepath.Glob(filepath.Join(cache, "ego-tools", "*", "ferretdb"))
		if len(built) > 0 {
			return built[len(built)-1], nil
		}
	}
	if found, err := exec.LookPath("ferretdb"); err == nil {
		return found, nil
	}
	return "", errors.New("mongotest: there is no FerretDB: run 'make ferretdb'")
}
