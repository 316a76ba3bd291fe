package pgtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// URLEnv names the server to use instead of a private one.
const URLEnv = "EGO_TEST_POSTGRES_URL"

// shared is the server of the test binary.
type shared struct {
	once   sync.Once
	server *Server // nil when another server is used
	url    string
	err    error

	template template
	names    atomic.Int64
}

var binary shared //nolint:gochecknoglobals // one server for each test binary

func (s *shared) start() (string, error) {
	s.once.Do(func() {
		if s.url = os.Getenv(URLEnv); s.url != "" {
			return
		}
		dir, err := os.MkdirTemp("", "ego-pg")
		if err != nil {
			s.err = err
			return
		}
		s.server = &Server{dir: dir}
		if s.err = s.server.create(Config{}); s.err == nil {
			s.err = s.server.Launch()
		}
		s.url = s.server.URL()
	})
	return s.url, s.err
}

// Main wraps the tests of a package so that the server is stopped when they have run, before goleak looks.
func Main(m *testing.M) *Tests { return &Tests{m} }

// Tests are the tests of a package.
type Tests struct{ m *testing.M }

// Run runs the tests and stops the server.
func (t *Tests) Run() int {
	defer Close()
	return t.m.Run()
}

// Close stops the server that [SharedURL] has started, in programs that are not tests.
func Close() {
	if binary.server != nil {
		binary.server.remove()
	}
	binary.template.remove()
}

// SharedURL returns the connection string of the shared server, for examples and
// programs, which have no T.
func SharedURL() (string, error) { return binary.start() }

// URL returns the connection string of the shared server.
func URL(t testing.TB) string {
	t.Helper()
	url, err := SharedURL()
	require.NoError(t, err, "no PostgreSQL: run 'make services', or set %s", URLEnv)
	return url
}

// Pool returns a new pool on the shared server, which is closed when the test ends.
func Pool(t testing.TB, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	return PoolAt(t, URL(t), change...)
}

// PoolAt returns a new pool of at most eight connections on a server, which is closed when the test ends.
func PoolAt(t testing.TB, url string, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	config.MaxConns = 8
	for _, apply := range change {
		apply(config)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// Schema returns a name for a schema that no other test of any process uses. What is in it is dropped when the test ends.
func Schema(t testing.TB) string {
	t.Helper()
	url := URL(t)
	name := fmt.Sprintf("test %d.%d %s", os.Getpid(), binary.names.Add(1), clean(t.Name()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, url)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close(ctx)) }()
		_, err = conn.Exec(ctx, "SET client_min_messages = warning; DROP SCHEMA IF EXISTS "+pgx.Identifier{name}.Sanitize()+" CASCADE")
		require.NoError(t, err)
	})
	return name
}

// clean makes the end of a test's name fit into the name of a schema, odd characters included: they are worth testing.
func clean(name string) string {
	const longest = 24
	name = strings.ToValidUTF8(name[max(0, len(name)-longest):], "")
	return name + `"'`
}
