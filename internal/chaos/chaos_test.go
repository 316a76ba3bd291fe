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
		os.Exit(workFor(2*time.Minute, target))
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
		c.victims = append(c.victims, c.start())
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
	for _, victim := range c.victims {
		c.kill(victim)
	}
	c.drain()
	rows, err := b.rows(t.Context())
	require.NoError(t, err)
	require.NoError(t, check(t.Context(), b.store, rows, promises...), "seed %d", seed)
	t.Logf("%v: %d rows; %d killed, %d paused, %d times cut off", time.Since(started).Round(time.Second), len(rows), c.killed, c.paused, c.cuts)
}

// cruelty does to processes what must not matter.
type cruelty struct {
	t                    *testing.T
	target               string
	random               *rand.Rand
	backend              *backend
	victims              []*exec.Cmd
	killed, paused, cuts int
}

func (c *cruelty) command(env ...string) *exec.Cmd {
	binary, err := os.Executable()
	require.NoError(c.t, err)
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), targetEnv+"="+c.target, seedEnv+"="+strconv.FormatUint(c.random.Uint64(), 10))
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (c *cruelty) start() *exec.Cmd {
	cmd := c.command()
	require.NoError(c.t, cmd.Start())
	c.t.Cleanup(func() { c.kill(cmd) })
	return cmd
}

func (c *cruelty) kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func (c *cruelty) strike() {
	i := c.random.IntN(len(c.victims))
	victim := c.victims[i]
	switch c.random.IntN(3) {
	case 0:
		c.killed++
		c.kill(victim)
		c.victims[i] = c.start()
	case 1:
		c.paused++
		require.NoError(c.t, victim.Process.Signal(syscall.SIGSTOP))
		<-time.After(leaseTime + time.Duration(c.random.IntN(1000))*time.Millisecond)
		require.NoError(c.t, victim.Process.Signal(syscall.SIGCONT))
	default:
		c.cuts++
		require.NoError(c.t, c.backend.cut(c.t.Context()))
	}
}

// drain lets one process finish what is left.
func (c *cruelty) drain() {
	cmd := c.command(drainEnv + "=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(c.t, cmd.Run(), stderr.String())
}
