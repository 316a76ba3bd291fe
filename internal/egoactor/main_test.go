package egoactor_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	goakt "github.com/tochemey/goakt/v3/actor"
	goaktlog "github.com/tochemey/goakt/v3/log"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/egoactor"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // GoAkt leaves the subscription of a cluster that it has left
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9.(*channel).initHealthCheck.func1"),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9.(*channel).initMsgChan.func1"),
		goleak.IgnoreAnyFunction("github.com/tochemey/olric/internal/pubsub.(*pubSubConn).bgrunner"))
}

const patience = 2 * time.Minute

// fixture is a host of accounts on a memory store.
type fixture struct {
	store    *memory.Store
	system   goakt.ActorSystem
	host     *egoactor.Host
	requests entity.Requests

	builds     atomic.Int64
	passivated atomic.Int64
	buildErr   error
	idle       time.Duration
	block      chan struct{} // a command named "block" waits for it
	blocked    chan struct{} // and tells so
}

func newFixture(t *testing.T, change ...func(*fixture, *egoactor.Config)) *fixture {
	t.Helper()
	system, err := goakt.NewActorSystem("test", goakt.WithLogger(goaktlog.DiscardLogger))
	require.NoError(t, err)
	require.NoError(t, system.Start(context.Background()))
	f := &fixture{store: memory.NewStore(), system: system, block: make(chan struct{}), blocked: make(chan struct{}, 64)}
	writer := journal.New(journal.Config{Store: f.store})
	shared := &entity.Shared{
		Journal: writer, Events: f.store, States: f.store, Codec: new(envelope.Codec), WriterID: "test",
		Logger: slog.New(slog.DiscardHandler), Now: time.Now, WriteTimeout: patience, RecoveryTimeout: patience,
	}
	config := egoactor.Config{
		System: system, Epoch: "e", Logger: shared.Logger, MaxQueue: 1000,
		Passivated: func(string, uint64) { f.passivated.Add(1) },
		Build: func(_ context.Context, id string) (egoactor.Activation, error) {
			f.builds.Add(1)
			account := &blockingAccount{Account: testaccount.New(id), fixture: f}
			core := entity.NewEventSourced(id, "account", account, new(entity.Settings), shared)
			return egoactor.Activation{Core: core, Kind: "account", PassivateAfter: f.idle}, f.buildErr
		},
	}
	for _, with := range change {
		with(f, &config)
	}
	f.host = egoactor.NewHost(config)
	t.Cleanup(func() {
		require.NoError(t, f.host.Stop(context.Background()))
		require.NoError(t, writer.Stop(context.Background()))
		require.NoError(t, system.Stop(context.Background()))
	})
	return f
}

// blockingAccount is an account whose handler can be held up.
type blockingAccount struct {
	*testaccount.Account
	fixture *fixture
}

func (a *blockingAccount) HandleCommand(ctx context.Context, command, prior proto.Message) ([]proto.Message, error) {
	if open, ok := command.(*testpb.OpenAccount); ok && open.GetOwner() == "block" {
		a.fixture.blocked <- struct{}{}
		<-a.fixture.block
	}
	return a.Account.HandleCommand(ctx, command, prior)
}

// send queues a command without waiting for its answer.
func (f *fixture) send(ctx context.Context, id string, command proto.Message) (*entity.Request, error) {
	r := f.requests.New(ctx, command, nil)
	return r, f.host.Send(ctx, id, r)
}

// deposit sends a deposit and returns the revision after it.
func (f *fixture) deposit(id string) (uint64, error) {
	r, err := f.send(context.Background(), id, &testpb.Deposit{Amount: 1})
	if err != nil {
		return 0, err
	}
	return answer(r)
}

func answer(r *entity.Request) (uint64, error) {
	select {
	case <-r.Done():
		_, revision, err := r.Answer()
		return revision, err
	case <-time.After(patience):
		return 0, errors.New("no answer")
	}
}

// hold makes an entity busy until the returned function is called, which returns what becomes of its command.
func (f *fixture) hold(t *testing.T, id string) (release func() error) {
	t.Helper()
	r, err := f.send(context.Background(), id, &testpb.OpenAccount{Owner: "block"})
	require.NoError(t, err)
	<-f.blocked
	return func() error {
		f.block <- struct{}{}
		_, err := answer(r)
		return err
	}
}

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "account-" + strconv.Itoa(i)
	}
	return list
}
