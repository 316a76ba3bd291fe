package chaos_test

import (
	"io"
	"net"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A network is what lies between one process and PostgreSQL. Nothing travels while it is cut off: what was sent arrives
// late, when it is mended, or never, when it is broken.
type network struct {
	target   string // what connects through it
	server   string // the socket of the server
	listener net.Listener
	copiers  sync.WaitGroup

	mu     sync.Mutex
	open   chan struct{} // closed while it works
	conns  map[net.Conn]struct{}
	closed bool
}

var hostOf = regexp.MustCompile(`host=(\S+)`)

func newNetwork(t *testing.T, target string) *network {
	t.Helper()
	dir := t.TempDir()
	n := &network{
		target: hostOf.ReplaceAllString(target, "host="+dir),
		server: filepath.Join(hostOf.FindStringSubmatch(target)[1], ".s.PGSQL.5432"),
		open:   make(chan struct{}),
		conns:  make(map[net.Conn]struct{}),
	}
	close(n.open)
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	require.NoError(t, err)
	n.listener = listener
	n.copiers.Go(n.accept)
	t.Cleanup(func() {
		n.mu.Lock()
		n.closed = true
		n.mu.Unlock()
		require.NoError(t, n.listener.Close())
		n.mend()
		n.sever()
		n.copiers.Wait()
	})
	return n
}

func (n *network) accept() {
	for {
		client, err := n.listener.Accept()
		if err != nil {
			return
		}
		n.copiers.Go(func() {
			<-n.gate()
			server, err := net.Dial("unix", n.server)
			if err != nil {
				_ = client.Close()
				return
			}
			if n.add(client, server) {
				n.copiers.Go(func() { n.carry(server, client) })
				n.copiers.Go(func() { n.carry(client, server) })
			}
		})
	}
}

func (n *network) add(conns ...net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range conns {
		n.conns[c] = struct{}{}
		if n.closed {
			_ = c.Close()
		}
	}
	return !n.closed
}

// carry copies from one side to the other, while the network works.
func (n *network) carry(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		count, err := from.Read(buffer)
		<-n.gate()
		if count > 0 {
			if _, err := to.Write(buffer[:count]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_, _ = from.Close(), to.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, from)
	delete(n.conns, to)
}

func (n *network) gate() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

// cut stops everything on its way.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open = make(chan struct{})
}

// mend lets everything arrive that is on its way.
func (n *network) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.open:
	default:
		close(n.open)
	}
}

// sever closes all connections.
func (n *network) sever() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		_ = c.Close()
	}
}

// TestNetwork has a connection stall, with what it carries, and go on.
func TestNetwork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	n := newNetwork(t, "host="+dir+" port=5432")
	conn, err := net.Dial("unix", filepath.Join(hostOf.FindStringSubmatch(n.target)[1], ".s.PGSQL.5432"))
	require.NoError(t, err)
	accepted, err := server.Accept()
	require.NoError(t, err)
	n.cut()
	_, err = io.WriteString(conn, "late")
	require.NoError(t, err)
	arrived := make(chan string, 1)
	go func() {
		buffer := make([]byte, 4)
		_, _ = io.ReadFull(accepted, buffer)
		arrived <- string(buffer)
	}()
	require.Empty(t, arrived)
	n.mend()
	require.Equal(t, "late", <-arrived)
	n.sever()
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
}
