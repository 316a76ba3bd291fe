// Cluster is one node of a bank with an HTTP front. Start as many as you like: every node takes every request, whichever of
// them has the account. `make cluster` starts three.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tochemey/goakt/v3/discovery/static"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/bank/account"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// settings are those of one node.
type settings struct {
	http, host string
	port       int    // of remoting; the next two are those of gossip and of what GoAkt keeps in common
	peers      string // host:port of the gossip of all nodes, separated by commas
	quorum     int
	store      string // the path of a SQLite file, or a postgres:// URL
}

func main() {
	var s settings
	flag.StringVar(&s.http, "http", "127.0.0.1:8080", "address of the HTTP front")
	flag.StringVar(&s.host, "host", "127.0.0.1", "address at which the other nodes reach this one")
	flag.IntVar(&s.port, "port", 7000, "the first of three ports that follow each other")
	flag.StringVar(&s.peers, "peers", "127.0.0.1:7001", "gossip addresses of all nodes: the port after their first")
	flag.IntVar(&s.quorum, "quorum", 1, "live nodes that a node must see to work: more than half")
	flag.StringVar(&s.store, "store", "cluster.db", "a SQLite file for nodes on one machine, or a postgres:// URL")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s *settings) (err error) {
	store, closeStore, err := openStore(ctx, s.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()

	engine := ego.NewEngine("bank", store,
		ego.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
		ego.WithKinds(ego.EventSourcedKind(account.Kind, account.New)),
		ego.WithCluster(ego.ClusterConfig{
			Discovery:          static.NewDiscovery(&static.Config{Hosts: strings.Split(s.peers, ",")}),
			Host:               s.host,
			RemotingPort:       s.port,
			DiscoveryPort:      s.port + 1,
			PeersPort:          s.port + 2,
			MinimumPeersQuorum: s.quorum,
		}))
	if err := engine.Start(ctx); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, engine.Stop(ctx))
	}()
	return serve(ctx, s.http, &front{engine})
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
