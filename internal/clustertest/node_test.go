package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tochemey/goakt/v3/discovery/static"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/chaos/wallclock"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// nodeEnv makes the test binary a node.
const nodeEnv = "EGO_CLUSTER_NODE"

// nodeSpec says what a node process does.
type nodeSpec struct {
	SQLite         string // path of the file; empty: PostgreSQL
	Mongo          string // connection string, in place of PostgreSQL; Schema is the database
	URL, Schema    string
	Control        string // unix socket, which works from every network namespace
	Host           string
	Remoting       int
	Discovery      int
	Peers          int
	DiscoveryHosts []string
	Quorum         int
	TLS            string // directory with certificates; empty: no TLS
	Roles          []string
	EntityRole     string

	Clock      time.Duration // the wall clock of the process is off by that
	Unfenced   bool          // the store lets every writer write
	Projection bool          // runs the projection of consumers_test.go and the publisher of publisher_test.go
	Traces     bool          // records its traces, see traces_test.go
}

// A call is what a test asks of a node, an answer what it gets.
type (
	call struct {
		Op        string
		ID        string
		Amount    int64
		Note      string
		CommandID string
		Metadata  map[string]string
		Timeout   time.Duration
		From, To  string // of a mover
		By        time.Duration

		Senders, Count int // of a benchmark
	}
	answer struct {
		Balance  int64
		Revision uint64
		Notes    []string
		Error    string
		Matches  []string // the names of the sentinels that the error matches
		Code     string   // of a refusal
		Saga     string   // status
		Reason   string
		Topology *ego.Topology
		Clock    time.Time
		Spans    []spanOf // that the node has recorded

		Own, Others []time.Duration // what commands of a benchmark took
	}
)

func sentinels() map[string]error {
	return map[string]error{
		"ErrTimeout": ego.ErrTimeout, "ErrOutcomeUnknown": ego.ErrOutcomeUnknown, "ErrConflict": ego.ErrConflict, "ErrErased": ego.ErrErased,
		"ErrEntityNotFound": ego.ErrEntityNotFound, "ErrKindNotRegistered": ego.ErrKindNotRegistered, "ErrNoQuorum": ego.ErrNoQuorum,
		"ErrOverloaded": ego.ErrOverloaded, "ErrWriteFailed": ego.ErrWriteFailed, "ErrRecovery": ego.ErrRecovery,
		"ErrEngineNotStarted": ego.ErrEngineNotStarted, "ErrInvalidCommand": ego.ErrInvalidCommand,
		"ErrSagaFinished": ego.ErrSagaFinished, "ErrInsufficient": testaccount.ErrInsufficient, "DeadlineExceeded": context.DeadlineExceeded, "Canceled": context.Canceled,
	}
}

// runNode runs a node until it is told to stop.
func runNode(encoded string) error {
	var spec nodeSpec
	if err := json.Unmarshal([]byte(encoded), &spec); err != nil {
		return err
	}
	if spec.Clock != 0 && !wallclock.Step(spec.Clock) {
		return errors.New("the clock cannot be stepped here")
	}
	store, closeStore, err := openStore(&spec)
	if err != nil {
		return err
	}
	defer closeStore()
	secret, err := nodeTLS(spec.TLS)
	if err != nil {
		return err
	}
	projected, err := project(&spec, store)
	if err != nil {
		return err
	}
	recorded := record(&spec)
	engine := ego.NewEngine("accounts", store,
		projected, recorded.option(),
		ego.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
		ego.WithKinds(ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return testaccount.New(id) }),
			ego.DurableStateKind("purse", func(id string) ego.DurableStateBehavior { return testaccount.NewPurse(id) }),
			probeKind(), moverKind(), greeterKind()),
		ego.WithSagaResumeAfter(2*time.Second),
		ego.WithCluster(ego.ClusterConfig{
			Discovery: static.NewDiscovery(&static.Config{Hosts: spec.DiscoveryHosts}), Host: spec.Host,
			RemotingPort: spec.Remoting, DiscoveryPort: spec.Discovery, PeersPort: spec.Peers,
			MinimumPeersQuorum: spec.Quorum, Roles: spec.Roles, EntityRole: spec.EntityRole, TLS: secret,
		}))
	if err := publish(&spec, engine); err != nil {
		return err
	}
	if err := engine.Start(context.Background()); err != nil {
		return err
	}
	if spec.Projection {
		if err := engine.StartProjection(context.Background(), seenProjection); err != nil {
			return err
		}
	}
	return control(engine, recorded, spec.Control)
}

func openStore(spec *nodeSpec) (persistence.EventsStore, func(), error) {
	ctx := context.Background()
	switch {
	case spec.SQLite != "":
		store, err := sqlite.Open(spec.SQLite)
		if err != nil {
			return nil, nil, err
		}
		return store, func() { _ = store.Disconnect(ctx) }, store.Connect(ctx)
	case spec.Mongo != "":
		client, err := driver.Connect(options.Client().ApplyURI(spec.Mongo))
		if err != nil {
			return nil, nil, err
		}
		store := mongo.NewStore(client, spec.Schema)
		closeStore := func() { _ = errors.Join(store.Disconnect(ctx), client.Disconnect(ctx)) }
		return store, closeStore, errors.Join(store.Migrate(ctx), store.Connect(ctx))
	}
	return openPostgres(ctx, spec)
}

func openPostgres(ctx context.Context, spec *nodeSpec) (persistence.EventsStore, func(), error) {
	config, err := pgxpool.ParseConfig(spec.URL)
	if err != nil {
		return nil, nil, err
	}
	config.MaxConns = 6
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	store := postgres.NewStore(pool, postgres.WithSchema(spec.Schema))
	closeStore := func() { _ = store.Disconnect(ctx); pool.Close() }
	err = errors.Join(store.Migrate(ctx), store.Connect(ctx))
	if spec.Unfenced {
		return &unfencedStore{store, pool, spec.Schema}, closeStore, err
	}
	return store, closeStore, err
}

// control answers calls until one asks to stop.
func control(engine *ego.Engine, recorded *recording, socket string) error {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "unix", socket)
	if err != nil {
		return err
	}
	stopped := make(chan error, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/call", func(w http.ResponseWriter, r *http.Request) {
		var c call
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if c.Op == "stop" {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			err := engine.Stop(ctx)
			_ = json.NewEncoder(w).Encode(newAnswer(nil, 0, err))
			stopped <- err
			return
		}
		if c.Op == "spans" {
			_ = json.NewEncoder(w).Encode(answer{Spans: recorded.spans()})
			return
		}
		ctx, ended := recorded.request(r.Context())
		defer ended()
		_ = json.NewEncoder(w).Encode(handle(ctx, engine, &c))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		err := <-stopped
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		stopped <- err
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func handle(ctx context.Context, engine *ego.Engine, c *call) answer {
	if c.CommandID != "" {
		ctx = ego.WithCommandID(ctx, c.CommandID)
	}
	if c.Metadata != nil {
		ctx = ego.WithMetadata(ctx, c.Metadata)
	}
	switch c.Op {
	case "entity":
		return newAnswer(nil, 0, engine.Entity(ctx, testaccount.New(c.ID)))
	case "deposit":
		return newAnswer(engine.SendCommand(ctx, c.ID, &testpb.Deposit{Amount: c.Amount, Note: c.Note}, c.Timeout))
	case "withdraw":
		return newAnswer(engine.SendCommand(ctx, c.ID, &testpb.Withdraw{Amount: c.Amount}, c.Timeout))
	case "misbehave":
		return newAnswer(engine.SendCommand(ctx, c.ID, &testpb.Misbehave{How: c.Note}, c.Timeout))
	case "purse":
		return newAnswer(nil, 0, engine.DurableStateEntity(ctx, testaccount.NewPurse(c.ID)))
	case "probe":
		return newAnswer(nil, 0, engine.Entity(ctx, &probe{testaccount.New(c.ID)}))
	case "schedule":
		_, err := engine.ScheduleCommand(ctx, c.ID, &testpb.Deposit{Amount: c.Amount, Note: c.Note}, time.Now().Add(c.By))
		return newAnswer(nil, 0, err)
	case "clock":
		if c.By != 0 && !wallclock.Step(c.By) {
			return newAnswer(nil, 0, errors.New("the clock cannot be stepped here"))
		}
		return answer{Clock: time.Now()}
	case "erase":
		return newAnswer(nil, 0, engine.EraseEntity(ctx, c.ID))
	case "state":
		return newAnswer(engine.EntityState(ctx, c.ID, c.Timeout))
	case "work":
		return work(ctx, engine, c.Senders, c.Count)
	case "echo":
		return spawnEcho(ctx, engine)
	case "ask echo":
		return askEcho(ctx, c)
	case "health":
		return newAnswer(nil, 0, engine.Health(ctx))
	case "topology":
		topology, err := engine.Topology(ctx)
		a := newAnswer(nil, 0, err)
		a.Topology = topology
		return a
	case "saga":
		return newAnswer(nil, 0, engine.Saga(ctx, &mover{id: c.ID, from: c.From, to: c.To, amount: c.Amount, how: c.Note}, time.Hour))
	case "saga status":
		return sagaAnswer(engine.SagaStatus(ctx, c.ID, c.Timeout))
	case "saga cancel":
		return newAnswer(nil, 0, engine.CancelSaga(ctx, c.ID))
	case "saga retry":
		return newAnswer(nil, 0, engine.RetrySaga(ctx, c.ID))
	default:
		return newAnswer(nil, 0, fmt.Errorf("unknown call %q", c.Op))
	}
}

func newAnswer(state ego.State, revision uint64, err error) answer {
	a := answer{Revision: revision}
	if account, ok := state.(*testpb.Account); ok {
		a.Balance, a.Notes = account.GetBalance(), account.GetNotes()
	}
	if err == nil {
		return a
	}
	a.Error = err.Error()
	for name, sentinel := range sentinels() {
		if errors.Is(err, sentinel) {
			a.Matches = append(a.Matches, name)
		}
	}
	if refused, ok := errors.AsType[*ego.CommandError](err); ok {
		a.Code = refused.Code
	}
	return a
}
