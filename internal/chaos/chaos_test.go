package chaos_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/pgtest"
)

var (
	duration = flag.Duration("chaos.for", 4*time.Second, "how long processes are treated badly")
	seedFlag = flag.Uint64("chaos.seed", 0, "seed of the random choices; zero makes one")
)

func TestMain(m *testing.M) {
	if target := os.Getenv(targetEnv); target != "" {
		os.Exit(workFor(5*time.Minute, target))
	}
	goleak.VerifyTestMain(pgtest.Main(m))
}

// workFor is the main function of a worker, which cannot outlive the one who started it for long.
func workFor(limit time.Duration, target string) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), limit+*duration)
	defer cancel()
	if err := work(ctx, target); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	return 0
}

func TestChaos(t *testing.T) { // G3, G4, G5
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		chaos(t, filepath.Join(t.TempDir(), "chaos.db"))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		server := pgtest.Start(t, pgtest.Config{})
		chaos(t, server.URL())
	})
}

const processes = 3

func chaos(t *testing.T, target string) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	c := &cruelty{t: t, target: target, random: rand.New(rand.NewPCG(seed, 1))}
	b, err := open(t.Context(), target)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.close(context.Background())) })
	require.NoError(t, b.create(t.Context()))
	c.backend = b

	for range processes {
		v := &victim{target: target}
		if strings.HasPrefix(target, "host=") {
			v.network = newNetwork(t, target)
			v.target = v.network.target
		}
		c.start(v)
		c.victims = append(c.victims, v)
	}
	started := time.Now()
	end := time.After(*duration)
	for over := false; !over; {
		select {
		case <-time.After(time.Duration(c.random.IntN(600)) * time.Millisecond):
			c.strike()
		case <-end:
			over = true
		}
	}
	for _, v := range c.victims {
		c.kill(v.cmd)
	}
	c.drain()
	rows, err := b.rows(t.Context())
	require.NoError(t, err)
	require.NoError(t, check(t.Context(), b.store, rows, promises...), "seed %d", seed)
	t.Logf("%v: %d rows; %+v", time.Since(started).Round(time.Second), len(rows), c.count)
}

// A victim is a process, and what lies between it and the store.
type victim struct {
	target  string
	network *network // nil: a file
	cmd     *exec.Cmd
}

// cruelty does to processes what must not matter.
type cruelty struct {
	t       *testing.T
	target  string
	random  *rand.Rand
	backend *backend
	victims []*victim
	count   struct{ Killed, Paused, Cuts, Partitions, Steps int }
}

func (c *cruelty) command(target string, env ...string) *exec.Cmd {
	binary, err := os.Executable()
	require.NoError(c.t, err)
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), targetEnv+"="+target, seedEnv+"="+strconv.FormatUint(c.random.Uint64(), 10))
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// start starts the process of a victim, and returns when signals do not kill it.
func (c *cruelty) start(v *victim) {
	cmd := c.command(v.target)
	ready, err := cmd.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, cmd.Start())
	c.t.Cleanup(func() { c.kill(cmd) })
	_, err = ready.Read(make([]byte, 1))
	require.NoError(c.t, err)
	v.cmd = cmd
}

func (c *cruelty) kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// strike does one thing to one process. Clocks and networks are of processes with a server; a file has those of its machine.
func (c *cruelty) strike() {
	v := c.victims[c.random.IntN(len(c.victims))]
	kinds := 5
	if v.network == nil {
		kinds = 2
	}
	long := leaseTime + time.Duration(c.random.IntN(1000))*time.Millisecond
	switch c.random.IntN(kinds) {
	case 0:
		c.count.Killed++
		c.kill(v.cmd)
		c.start(v)
	case 1:
		c.count.Paused++
		c.signal(v, syscall.SIGSTOP)
		<-time.After(long)
		c.signal(v, syscall.SIGCONT)
	case 2:
		c.count.Cuts++
		require.NoError(c.t, c.backend.cut(c.t.Context()))
	case 3:
		c.count.Partitions++
		v.network.cut()
		<-time.After(long)
		if c.random.IntN(2) == 0 {
			v.network.sever()
		}
		v.network.mend()
	default:
		c.count.Steps++
		c.signal(v, []os.Signal{stepForward, stepBack}[c.random.IntN(2)])
	}
}

func (c *cruelty) signal(v *victim, signal os.Signal) {
	require.NoError(c.t, v.cmd.Process.Signal(signal))
}

// drain lets one process finish what is left.
func (c *cruelty) drain() {
	cmd := c.command(c.target, drainEnv+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(c.t, cmd.Run(), stderr.String())
}
