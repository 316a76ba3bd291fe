package ego_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// TestEngineIsWhatItsClientsWereTold runs clients that send deposits under ids, and repeat each until it is acknowledged,
// while engines are stopped and started, an engine from before goes on as a second writer, stores fail and lose
// acknowledgements, and entities are passivated, batched, snapshotted and pruned. In the end every balance is the sum of
// what was acknowledged. EGO_SEED repeats a run.
func TestEngineIsWhatItsClientsWereTold(t *testing.T) { // G1, G2, G8, G9
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) persistencetest.Backend{
		"Memory": func(t *testing.T) persistencetest.Backend { return newStore(t) },
		"SQLite": func(t *testing.T) persistencetest.Backend {
			store, err := sqlite.Open(filepath.Join(t.TempDir(), "test.db"))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, store.Disconnect(context.Background())) })
			return store
		},
	} {
		for i := range 2 {
			t.Run(name+strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				seed := rand.Uint64()
				if given, err := strconv.ParseUint(os.Getenv("EGO_SEED"), 10, 64); err == nil {
					seed = given
				}
				t.Logf("EGO_SEED=%d", seed)
				newTrial(t, open(t), seed).run(t)
			})
		}
	}
}

const (
	trialEntities = 6
	trialClients  = 12
	trialCommands = 40 // of each client
)

// A trial is one run with the engines and options that its seed stands for.
type trial struct {
	store  persistencetest.Backend
	faults *persistencetest.Faults
	random *rand.Rand
	opts   []ego.Option

	mu      sync.Mutex
	engine  *ego.Engine   // the one that clients use
	engines []*ego.Engine // all that are running
}

func newTrial(t *testing.T, store persistencetest.Backend, seed uint64) *trial {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	faults := persistencetest.NewFaults()
	retention := ego.RetentionPolicy{
		DeleteEventsOnSnapshot:    random.IntN(2) == 0,
		DeleteSnapshotsOnSnapshot: random.IntN(2) == 0,
		EventsRetentionCount:      random.Uint64N(10),
	}
	kinds := ego.WithKinds(
		accountKind(ego.WithBatchThreshold(random.IntN(6)), ego.WithBatchFlushWindow(time.Duration(random.IntN(3))*time.Millisecond),
			ego.WithRetentionPolicy(retention), ego.WithDedupWindow(trialClients*trialCommands)),
		ego.DurableStateKind("purse", func(id string) ego.DurableStateBehavior { return testaccount.NewPurse(id) },
			ego.WithDedupWindow(trialClients*trialCommands)),
	)
	return &trial{store: faults.Backend(store), faults: faults, random: random, opts: []ego.Option{
		kinds, ego.WithSnapshotInterval(random.Uint64N(12)), ego.WithPassivateAfter(time.Duration(1+random.IntN(20)) * time.Millisecond),
	}}
}

func (r *trial) run(t *testing.T) {
	r.startEngine(t)
	engine := r.current()
	for i := range trialEntities {
		require.NoError(t, engine.Entity(t.Context(), testaccount.New(fmt.Sprint("account-", i))))
		require.NoError(t, engine.DurableStateEntity(t.Context(), testaccount.NewPurse(fmt.Sprint("purse-", i))))
		for _, kind := range []string{"account-", "purse-"} { // other engines know only what is stored
			deposit(t, engine, fmt.Sprint(kind, i), 1)
		}
	}
	acknowledged := make([]map[string]int64, trialClients)
	var clients sync.WaitGroup
	for i := range trialClients {
		seed := r.random.Uint64()
		clients.Go(func() { acknowledged[i] = r.client(t, i, rand.New(rand.NewPCG(seed, 1))) })
	}
	done := make(chan struct{})
	var nemesis sync.WaitGroup
	nemesis.Go(func() { r.disturb(t, done) })
	clients.Wait()
	close(done)
	nemesis.Wait()
	r.faults.Clear()
	r.check(t, acknowledged)
}

// client sends its commands, each until it is acknowledged, and returns the sum of each entity.
func (r *trial) client(t *testing.T, number int, random *rand.Rand) map[string]int64 {
	sums := make(map[string]int64)
	for n := range trialCommands {
		id := fmt.Sprint([]string{"account-", "purse-"}[random.IntN(2)], random.IntN(trialEntities))
		amount := 1 + random.Int64N(100)
		ctx := ego.WithCommandID(t.Context(), fmt.Sprint("command-", number, "-", n))
		for start := time.Now(); ; {
			_, _, err := r.current().SendCommand(ctx, id, &testpb.Deposit{Amount: amount}, patience)
			if err == nil {
				break
			}
			if refused := new(ego.CommandError); errors.As(err, &refused) || time.Since(start) > patience {
				t.Errorf("%s: %v", id, err)
				return sums
			}
		}
		sums[id] += amount
	}
	return sums
}

// disturb does harm until the clients are done.
func (r *trial) disturb(t *testing.T, done <-chan struct{}) {
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-done:
			return
		case <-pause.C:
		}
		write := []string{"WriteEvents", "WriteState"}[r.random.IntN(2)]
		switch r.random.IntN(8) {
		case 0:
			r.faults.On(write).Nth(1 + r.random.IntN(3)).Fail(errDown)
		case 1:
			r.faults.On(write).Nth(1 + r.random.IntN(3)).Fail(persistence.DefinitelyNotWritten(errDown))
		case 2:
			r.faults.On(write).Nth(1 + r.random.IntN(3)).FailAfterCommit(errDown)
		case 3:
			r.faults.On([]string{"WriteSnapshot", "GetSnapshot", "ReplayEvents", "DeleteEvents"}[r.random.IntN(4)]).Nth(1).Fail(errDown)
		case 4:
			r.startEngine(t) // the one from before stays, and may still be at work
		case 5:
			r.stopOldest(t)
		default:
		}
	}
}

func (r *trial) current() *ego.Engine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.engine
}

func (r *trial) startEngine(t *testing.T) {
	if len(r.engines) >= 3 {
		return
	}
	engine := ego.NewEngine("trial", r.store, r.opts...)
	if err := engine.Start(t.Context()); err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { stopEngine(t, engine) })
	r.mu.Lock()
	r.engine, r.engines = engine, append(r.engines, engine)
	r.mu.Unlock()
}

// stopOldest stops an engine that clients no longer begin to use.
func (r *trial) stopOldest(t *testing.T) {
	if len(r.engines) < 2 {
		return
	}
	if err := r.engines[0].Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.engines = r.engines[1:]
}

// check compares what a new engine answers with what was acknowledged.
func (r *trial) check(t *testing.T, acknowledged []map[string]int64) {
	want := make(map[string]int64)
	for _, sums := range acknowledged {
		for id, sum := range sums {
			want[id] += sum
		}
	}
	fresh := ego.NewEngine("fresh", r.store, r.opts...)
	require.NoError(t, fresh.Start(t.Context()))
	defer stopEngine(t, fresh)
	for id, sum := range want {
		sum++ // the first deposit
		state, _, err := fresh.EntityState(t.Context(), id, patience)
		require.NoError(t, err)
		require.Equal(t, sum, state.(*testpb.Account).GetBalance(), id)
	}
}
