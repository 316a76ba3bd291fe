package mongotest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// URLEnv names the server to use instead of a private one.
const URLEnv = "EGO_TEST_MONGO_URL"

// shared is the server of the test binary.
type shared struct {
	once   sync.Once
	server *Server // nil when another server is used
	url    string
	err    error
	names  atomic.Int64
}

var binary shared //nolint:gochecknoglobals // one server for each test binary

func (s *shared) start() (string, error) {
	s.once.Do(func() {
		if s.url = os.Getenv(URLEnv); s.url != "" {
			return
		}
		if s.server, s.err = newServer(); s.err != nil {
			return
		}
		s.err = s.server.Launch()
		s.url = s.server.URL()
	})
	return s.url, s.err
}

// Main wraps the tests of a package so that the server is stopped when they have run, before goleak looks.
func Main(m interface{ Run() int }) *Tests { return &Tests{m} }

// Tests are the tests of a package.
type Tests struct{ m interface{ Run() int } }

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
}

// URL returns the connection string of the shared server.
func URL(t testing.TB) string {
	t.Helper()
	url, err := binary.start()
	require.NoError(t, err, "no server: run 'make ferretdb', or set %s", URLEnv)
	return url
}

// SharedURL is [URL] for examples and programs, which have no test to fail.
func SharedURL() (string, error) { return binary.start() }

// Private reports whether the shared server is a FerretDB, which lacks transactions and change streams.
func Private() bool { return os.Getenv(URLEnv) == "" }

// Client returns a client of the shared server, which is disconnected when the test ends.
func Client(t testing.TB, change ...func(*options.ClientOptions)) *mongo.Client {
	t.Helper()
	return ClientAt(t, URL(t), change...)
}

// ClientAt returns a client of a server, which is disconnected when the test ends.
func ClientAt(t testing.TB, url string, change ...func(*options.ClientOptions)) *mongo.Client {
	t.Helper()
	opts := options.Client().ApplyURI(url)
	for _, apply := range change {
		apply(opts)
	}
	client, err := mongo.Connect(opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = client.Disconnect(ctx) // a test may have disconnected it
	})
	return client
}

// Database returns a name for a database that no other test of any process uses. It is dropped when the test ends.
func Database(t testing.TB) string {
	t.Helper()
	url := URL(t)
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), binary.names.Add(1))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		client, err := mongo.Connect(options.Client().ApplyURI(url))
		require.NoError(t, err)
		require.NoError(t, client.Database(name).Drop(ctx))
		require.NoError(t, client.Disconnect(ctx))
	})
	return name
}
