package mongo_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
)

// A recorder keeps the commands that were sent.
type recorder struct {
	mu   sync.Mutex
	list []mongotest.Command
}

// note keeps a command and lets it through.
func (r *recorder) note(c mongotest.Command) mongotest.Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, c)
	return mongotest.Verdict{}
}

// all returns the commands of a name so far; all commands when none is named.
func (r *recorder) all(names ...string) (found []mongotest.Command) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.list {
		if len(names) == 0 {
			found = append(found, c)
		}
		for _, name := range names {
			if c.Name() == name {
				found = append(found, c)
			}
		}
	}
	return found
}

// replicated returns a connected store on a database, whose server pretends to be a replica set. Its client has the options of
// query besides. judge decides on commands; it may be nil.
func replicated(t *testing.T, database, query string, judge func(mongotest.Command) mongotest.Verdict,
	opts ...mongo.Option,
) (*mongo.Store, *driver.Client, *mongotest.Proxy) {
	t.Helper()
	proxy := mongotest.NewProxy(t)
	proxy.PretendReplicaSet(judge)
	client := mongotest.ClientAt(t, proxy.ReplicaSetURL()+query)
	store := mongo.NewStore(client, database, opts...)
	require.NoError(t, store.Migrate(t.Context()))
	require.NoError(t, store.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
	return store, client, proxy
}

// TestSecondaries has members of a replica set that take no writes.
func TestSecondaries(t *testing.T) { // G12
	t.Parallel()
	database := mongotest.Database(t)
	connect(t, database) // migrates
	hidden := func(answer bson.D) bson.D { return mongotest.Set(answer, "hidden", true) }
	for name, change := range map[string]func(bson.D) bson.D{"Secondary": func(answer bson.D) bson.D { return answer }, "Hidden": hidden} {
		secondary := func(proxy *mongotest.Proxy) {
			proxy.Judge(func(c mongotest.Command) mongotest.Verdict {
				if !c.IsGreeting() {
					return mongotest.Verdict{Send: c.Plain()}
				}
				return mongotest.Verdict{Change: func(answer bson.D) bson.D { return change(proxy.PretendSecondary(answer)) }}
			})
		}
		t.Run(name+"IsRefusedByAConnectionToIt", func(t *testing.T) {
			t.Parallel()
			proxy := mongotest.NewProxy(t)
			secondary(proxy)
			store := mongo.NewStore(mongotest.ClientAt(t, proxy.URL()), database)
			err := store.Connect(t.Context())
			require.ErrorIs(t, err, mongo.ErrUnavailable)
			require.ErrorContains(t, err, "not the primary")
			err = store.WriteEvents(t.Context(), []*egopb.Event{newEvent("a", 1)})
			require.ErrorIs(t, err, mongo.ErrUnavailable)
			require.True(t, persistence.NotWritten(err))

			proxy.Judge(nil) // it is elected
			require.NoError(t, store.Connect(t.Context()))
			require.NoError(t, store.Disconnect(t.Context()))
		})
		t.Run(name+"IsNotAskedWhenTheSetIsKnown", func(t *testing.T) {
			t.Parallel()
			proxy := mongotest.NewProxy(t)
			secondary(proxy)
			store := mongo.NewStore(mongotest.ClientAt(t, proxy.ReplicaSetURL()+"&serverSelectionTimeoutMS=200&readPreference=secondary"), database)
			require.ErrorIs(t, store.Connect(t.Context()), mongo.ErrUnavailable)
		})
	}
}
