package publishchaos_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/publisher"
)

// What a process of the run is told.
const (
	roleEnv   = "EGO_PUBLISHCHAOS_ROLE" // serve, work or drain
	brokerEnv = "EGO_PUBLISHCHAOS_BROKER"
	portEnv   = "EGO_PUBLISHCHAOS_PORT"
	dirEnv    = "EGO_PUBLISHCHAOS_DIR"
	slotEnv   = "EGO_PUBLISHCHAOS_SLOT" // which of the processes it is
)

const (
	publisherID = "chaos"
	entities    = 30
	senders     = 3
	leaseTime   = time.Second

	drainLeaseTime = 5 * time.Second // of the process that is alone at the end, however slow the machine is
)

// play is the main function of a process of the run.
func play(ctx context.Context, role string) error {
	b, ok := brokers[os.Getenv(brokerEnv)]
	if !ok {
		return fmt.Errorf("there is no broker %q", os.Getenv(brokerEnv))
	}
	port, err := strconv.Atoi(os.Getenv(portEnv))
	if err != nil {
		return err
	}
	dir := os.Getenv(dirEnv)
	if role == "serve" {
		return b.serve(ctx, port, dir+"/broker")
	}
	store, err := openStore(ctx, dir)
	if err != nil {
		return err
	}
	p, err := b.open(fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	lease := leaseTime
	if role == "drain" {
		lease = drainLeaseTime
	}
	engine := newEngine(store, lease)
	if err := errors.Join(engine.AddEventPublishers(publisher.WithOptions(p, publisher.Options{BatchSize: 50, Timeout: 2 * time.Second})),
		engine.Start(ctx)); err != nil {
		return err
	}
	if role == "drain" {
		return errors.Join(drain(ctx, engine), engine.Stop(ctx), store.Disconnect(ctx))
	}
	for range senders - 1 {
		go send(ctx, engine)
	}
	send(ctx, engine)
	return nil
}

func openStore(ctx context.Context, dir string) (*sqlite.Store, error) {
	store, err := sqlite.Open(dir + "/journal.db")
	if err != nil {
		return nil, err
	}
	return store, store.Connect(ctx)
}

func newEngine(store persistence.EventsStore, lease time.Duration) *ego.Engine {
	return ego.NewEngine("publishchaos", store, ego.WithLeaseTime(lease),
		ego.WithKinds(ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return testaccount.New(id) })))
}

// send sends commands until the context ends. What becomes of them is not its concern.
func send(ctx context.Context, engine *ego.Engine) {
	for ctx.Err() == nil {
		id := fmt.Sprintf("entity-%s-%d", os.Getenv(slotEnv), rand.IntN(entities))
		if rand.IntN(8) == 0 {
			id = fmt.Sprintf("shared-%d", rand.IntN(entities)) // with the other processes
		}
		if err := engine.Entity(ctx, testaccount.New(id)); err == nil {
			_, _, _ = engine.SendCommand(ctx, id, &testpb.Deposit{Amount: 1}, leaseTime)
		}
		<-time.After(time.Duration(rand.IntN(6)) * time.Millisecond)
	}
}

// drain returns when everything is published. An event that was parked never would be: nothing may park one.
func drain(ctx context.Context, engine *ego.Engine) error {
	for {
		for letter, err := range engine.DeadLetters(ctx, publisherID) {
			if err == nil {
				err = fmt.Errorf("event %d of %s is parked: %s", letter.SequenceNumber, letter.PersistenceID, letter.Reason)
			}
			return err
		}
		lags, err := engine.PublisherLag(ctx, publisherID)
		if err != nil {
			return err
		}
		var left uint64
		for _, lag := range lags {
			left += lag.Events
		}
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			status, err := engine.PublisherStatus(context.WithoutCancel(ctx), publisherID)
			return fmt.Errorf("%d events are left: %+v: %w", left, status, errors.Join(err, ctx.Err()))
		}
	}
}
