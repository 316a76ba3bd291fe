package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/chaos/wallclock"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/projection"
)

const (
	targetEnv = "EGO_CHAOS_TARGET" // set in the processes that are treated badly
	seedEnv   = "EGO_CHAOS_SEED"
	drainEnv  = "EGO_CHAOS_DRAIN" // nothing fails any more: handle what is left and end

	entities       = 40
	leaseTime      = time.Second
	drainLeaseTime = 5 * time.Second // of the process that is alone at the end, however slow the machine is
)

var promises = []promise{{"exact", true}, {"parked", true}, {"plain", false}, {"parallel", false}}

// A worker is a process with an engine: it sends commands, and shares the projections with the others.
type worker struct {
	backend *backend
	engine  *ego.Engine
	calm    bool
	calls   atomic.Uint64
	seed    uint64
}

var errRandom = errors.New("failed at random")

// work is the main function of a worker. It goes on until it is killed, unless it is to drain.
func work(ctx context.Context, target string) error {
	if err := obeySteps(); err != nil {
		return err
	}
	b, err := insist(ctx, target)
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(os.Getenv(seedEnv), 10, 64)
	if err != nil {
		return err
	}
	w := &worker{backend: b, seed: seed, calm: os.Getenv(drainEnv) != ""}
	lease := leaseTime
	if w.calm {
		lease = drainLeaseTime
	}
	w.engine = newEngine(b, lease, w.options())
	if err := w.engine.Start(ctx); err != nil {
		return err
	}
	for _, p := range promises {
		if err := w.engine.StartProjection(ctx, p.projection); err != nil {
			return err
		}
	}
	if w.calm {
		if err := w.finish(ctx); err != nil {
			return err
		}
		return errors.Join(w.engine.Stop(ctx), b.close(ctx))
	}
	for range 3 {
		go w.send(ctx)
	}
	w.send(ctx)
	return nil
}

// Signals that step the clock of a process.
const (
	stepForward = syscall.SIGUSR1
	stepBack    = syscall.SIGUSR2
	step        = 5 * time.Minute
)

// obeySteps has the clock of this process stepped whenever a signal says so, and tells who started it that signals do not
// end it any more.
func obeySteps() error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, stepForward, stepBack)
	go func() {
		for s := range signals {
			wallclock.Step(map[os.Signal]time.Duration{stepForward: step, stepBack: -step}[s])
		}
	}()
	_, err := fmt.Println("ready")
	return err
}

// insist opens the backend, again and again while its connections are cut.
func insist(ctx context.Context, target string) (*backend, error) {
	for {
		b, err := open(ctx, target)
		if err == nil {
			err = b.create(ctx)
		}
		if err == nil || ctx.Err() != nil {
			return b, err
		}
		if b != nil {
			_ = b.close(ctx)
		}
	}
}

func newEngine(b *backend, lease time.Duration, options map[string]*projection.Options) *ego.Engine {
	opts := []ego.Option{
		ego.WithKinds(ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return testaccount.New(id) })),
		ego.WithLeaseTime(lease),
	}
	for name, o := range options {
		opts = append(opts, ego.WithProjection(name, o))
	}
	return ego.NewEngine("chaos", b.store, opts...)
}

// options are the projections, each with handlers that fail now and then.
func (w *worker) options() map[string]*projection.Options {
	retry := projection.NewRecovery(projection.WithRecoveryPolicy(projection.RetryAndFail),
		projection.WithRetries(1000), projection.WithRetryDelay(time.Millisecond))
	park := projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park))
	insert := func(name string) projection.Handler {
		return projection.HandlerFunc(func(ctx context.Context, event *projection.Event) error {
			if err := w.maybe(); err != nil {
				return err
			}
			return errors.Join(w.backend.insert(ctx, rowOf(name, event)), w.maybe())
		})
	}
	inTransaction := func(name string) projection.Handler {
		return w.backend.handler(func(event *projection.Event) (row, error) { return rowOf(name, event), w.maybe() })
	}
	return map[string]*projection.Options{
		"exact":    {Handler: inTransaction("exact"), Recovery: retry, BatchSize: 50},
		"parked":   {Handler: inTransaction("parked"), Recovery: park, BatchSize: 20},
		"plain":    {Handler: insert("plain"), Recovery: retry, BatchSize: 20},
		"parallel": {Handler: insert("parallel"), Recovery: retry, BatchSize: 20, Parallelism: 4},
	}
}

func rowOf(name string, event *projection.Event) row {
	return row{name, event.PersistenceID, event.SequenceNumber, event.Position}
}

// maybe fails now and then, by the seed.
func (w *worker) maybe() error {
	if n := w.calls.Add(1); !w.calm && rand.New(rand.NewPCG(w.seed, n)).IntN(100) < 2 {
		return errRandom
	}
	return nil
}

// send sends commands for ever. What becomes of them is not its concern.
func (w *worker) send(ctx context.Context) {
	for {
		id := fmt.Sprintf("entity-%d", rand.IntN(entities))
		if err := w.engine.Entity(ctx, testaccount.New(id)); err == nil {
			_, _, _ = w.engine.SendCommand(ctx, id, &testpb.Deposit{Amount: 1}, leaseTime)
		}
		<-time.After(time.Duration(rand.IntN(4)) * time.Millisecond)
	}
}

// finish returns when every projection has handled everything. A store that does not answer in time is asked again.
func (w *worker) finish(ctx context.Context) error {
	for _, p := range promises {
		for {
			trouble := w.engine.RetryDeadLetters(ctx, p.projection)
			done, err := w.done(ctx, p.projection)
			if trouble = errors.Join(trouble, err); done && trouble == nil {
				break
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				status, err := w.engine.ProjectionStatus(context.WithoutCancel(ctx), p.projection)
				return fmt.Errorf("%s does not catch up: %+v: %w", p.projection, status, errors.Join(trouble, err, ctx.Err()))
			}
		}
	}
	return nil
}

func (w *worker) done(ctx context.Context, name string) (bool, error) {
	for _, err := range w.engine.DeadLetters(ctx, name) {
		return false, err
	}
	lags, err := w.engine.ProjectionLag(ctx, name)
	for _, lag := range lags {
		if lag.Events > 0 {
			return false, err
		}
	}
	return err == nil, err
}
