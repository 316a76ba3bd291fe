// Package node is one node of a bank with an HTTP front, however it finds the others.
package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tochemey/goakt/v3/discovery"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/bank/account"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// Settings are those of one node.
type Settings struct {
	HTTP   string // address of the HTTP front
	Host   string // address at which the other nodes reach this one
	Port   int    // of remoting; the next two are those of gossip and of what GoAkt keeps in common
	Quorum int    // live nodes that a node must see to work: more than half
	Store  string // the path of a SQLite file, or a postgres:// URL
}

// Run runs a node, which finds the others by the provider, until the context ends.
func Run(ctx context.Context, s *Settings, peers discovery.Provider) (err error) {
	store, closeStore, err := openStore(ctx, s.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()

	engine := ego.NewEngine("bank", store,
		ego.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
		ego.WithKinds(ego.EventSourcedKind(account.Kind, account.New)),
		ego.WithCluster(ego.ClusterConfig{
			Discovery:          peers,
			Host:               s.Host,
			RemotingPort:       s.Port,
			DiscoveryPort:      s.Port + 1,
			PeersPort:          s.Port + 2,
			MinimumPeersQuorum: s.Quorum,
		}))
	if err := engine.Start(ctx); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, engine.Stop(ctx))
	}()
	return serve(ctx, s.HTTP, &front{engine})
}

// openStore opens the store that all nodes share.
func openStore(ctx context.Context, where string) (persistence.EventsStore, func() error, error) {
	ending := context.WithoutCancel(ctx)
	if !strings.HasPrefix(where, "postgres://") {
		store, err := sqlite.Open(where)
		if err != nil {
			return nil, nil, err
		}
		return store, func() error { return store.Disconnect(ending) }, store.Connect(ctx)
	}
	pool, err := pgxpool.New(ctx, where)
	if err != nil {
		return nil, nil, err
	}
	store := postgres.NewStore(pool)
	closeStore := func() error {
		defer pool.Close()
		return store.Disconnect(ending)
	}
	return store, closeStore, errors.Join(store.Migrate(ctx), store.Connect(ctx))
}

// serve answers HTTP requests until the context ends, and finishes those under way.
func serve(ctx context.Context, address string, f *front) error {
	server := &http.Server{
		Addr: address, Handler: f.routes(), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return server.Shutdown(ending)
}
