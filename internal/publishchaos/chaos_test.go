package publishchaos_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/persistence/sqlite"
)

var (
	duration = flag.Duration("chaos.for", 4*time.Second, "how long processes are killed")
	seedFlag = flag.Uint64("chaos.seed", 0, "seed of the random choices; zero makes one")
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(playFor(10*time.Minute, role))
	}
	goleak.VerifyTestMain(m)
}

// playFor bounds a process of the run, which cannot outlive the one who started it for long.
func playFor(limit time.Duration, role string) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), limit+*duration)
	defer cancel()
	if err := play(ctx, role); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

func TestChaos(t *testing.T) { // G6
	t.Parallel()
	for name := range brokers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chaos(t, name)
		})
	}
}

const workers = 2

// chaos lets processes write and publish, kills them and their broker at random moments, and checks what has arrived.
func chaos(t *testing.T, name string) {
	r := newRun(t, name, *seedFlag)
	r.serve()
	require.NoError(t, brokers[name].prepare(within(t), r.addr()))
	for i := range workers {
		r.workers[i] = r.start("work", slotEnv+"="+strconv.Itoa(i))
	}
	store, err := openStore(t.Context(), r.dir)
	require.NoError(t, err)
	defer store.Disconnect(context.Background()) //nolint:errcheck // only reads
	started := time.Now()
	end := time.After(*duration)
	for over := false; !over; {
		if r.random.IntN(4) > 0 {
			r.awaitEvents(store)
		}
		select {
		case <-time.After(time.Duration(r.random.IntN(400)) * time.Millisecond):
			r.strike()
		case <-end:
			over = true
		}
	}
	r.awaitEvents(store)
	for _, cmd := range r.workers {
		r.kill(cmd)
	}
	if r.server == nil {
		r.serve()
	}
	r.drain()

	journal, err := readJournal(t.Context(), store)
	require.NoError(t, err)
	arrivals, err := brokers[name].arrivals(within(t), r.addr())
	require.NoError(t, err)
	require.NoError(t, check(journal, arrivals), "seed %d", r.seed)
	var events uint64
	for _, last := range journal {
		events += last
	}
	require.NotZero(t, events)
	t.Logf("%v: %d events, %d arrivals; the broker was killed %d times, a process %d times",
		time.Since(started).Round(time.Second), events, len(arrivals), r.serversKilled, r.workersKilled)
}

// A run is the processes of one broker.
type run struct {
	t       *testing.T
	name    string
	dir     string
	port    int
	seed    uint64
	random  *rand.Rand
	server  *exec.Cmd // nil while it is down
	workers [workers]*exec.Cmd

	serversKilled, workersKilled int
}

func newRun(t *testing.T, name string, seed uint64) *run {
	t.Helper()
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	port, err := freePort(t.Context())
	require.NoError(t, err)
	return &run{t: t, name: name, dir: t.TempDir(), port: port, seed: seed, random: rand.New(rand.NewPCG(seed, 1))}
}

func (r *run) addr() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

func (r *run) command(role string, env ...string) *exec.Cmd {
	binary, err := os.Executable()
	require.NoError(r.t, err)
	cmd := exec.Command(binary, "-chaos.for", duration.String())
	cmd.Env = append(os.Environ(), roleEnv+"="+role, brokerEnv+"="+r.name, portEnv+"="+strconv.Itoa(r.port), dirEnv+"="+r.dir)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (r *run) start(role string, env ...string) *exec.Cmd {
	cmd := r.command(role, env...)
	require.NoError(r.t, cmd.Start())
	r.t.Cleanup(func() { r.kill(cmd) })
	return cmd
}

func (r *run) serve() { r.server = r.start("serve") }

func (r *run) kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// strike kills a process of the publisher and starts another, or kills the broker, which comes back with the next strike.
func (r *run) strike() {
	switch {
	case r.server == nil:
		r.serve()
	case r.random.IntN(2) == 0:
		r.serversKilled++
		r.kill(r.server)
		r.server = nil
	default:
		r.workersKilled++
		i := r.random.IntN(workers)
		r.kill(r.workers[i])
		r.workers[i] = r.start("work", slotEnv+"="+strconv.Itoa(i))
	}
}

// awaitEvents waits until some events were written, so that there is something to lose on a slow machine too.
func (r *run) awaitEvents(store *sqlite.Store) {
	const some = 20
	before := r.written(store)
	require.Eventually(r.t, func() bool { return r.written(store) >= before+some }, 5*time.Minute, 10*time.Millisecond)
}

func (r *run) written(store *sqlite.Store) (events uint64) {
	positions, err := store.ShardPositions(r.t.Context())
	require.NoError(r.t, err)
	for _, position := range positions {
		events += position
	}
	return events
}

// drain lets one process publish what is left.
func (r *run) drain() {
	cmd := r.command("drain")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(r.t, cmd.Run(), "seed %d: %s", r.seed, &stderr)
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
