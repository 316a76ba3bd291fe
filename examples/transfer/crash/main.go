// Crash proves that sagas survive everything: it runs the house of transfers in processes of their own, kills them with
// SIGKILL at random moments, and reads the books whenever all are down. Transfers wait, are refused and come due meanwhile.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/actorkeep/ego/examples/transfer/internal/house"
)

const workerDir = "EGO_HOUSE_WORKER_DIR" // set in the processes that are killed

func main() {
	rounds := flag.Int("rounds", 10, "how often the processes are killed")
	transfers := flag.Int("transfers", 1000, "transfers to make")
	processes := flag.Int("processes", 2, "processes that work at once")
	dir := flag.String("dir", "", "directory of the house; a temporary one when empty")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random moments")
	flag.Parse()
	if err := run(*dir, *rounds, *transfers, *processes, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// run is the house in a process that is killed, and the one that kills in the other.
func run(dir string, rounds, transfers, processes int, seed uint64) error {
	if dir := os.Getenv(workerDir); dir != "" {
		return work(context.Background(), dir, transfers)
	}
	return crash(dir, rounds, transfers, processes, seed)
}

// work makes all transfers that are not made yet.
func work(ctx context.Context, dir string, transfers int) error {
	h, err := house.Open(ctx, dir, time.Second)
	if err != nil {
		return err
	}
	if err := h.OpenAccounts(ctx); err != nil {
		return err
	}
	if err := h.Work(ctx, &house.Load{Run: "t", Transfers: transfers, Senders: 64, Hold: 700 * time.Millisecond}); err != nil {
		return err
	}
	return h.Close(ctx)
}

// crash runs the rounds and the last one, in which nobody is killed.
func crash(dir string, rounds, transfers, processes int, seed uint64) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "ego-saga-crash-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(dir)
			}
		}()
	}
	fmt.Printf("house in %s, %d transfers, %d processes, %d rounds, -seed %d\n", dir, transfers, processes, rounds, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds {
		after := make([]time.Duration, processes)
		for i := range after {
			after[i] = 200*time.Millisecond + time.Duration(random.Int64N(int64(1800*time.Millisecond)))
		}
		if err := runHouses(dir, transfers, after); err != nil {
			return err
		}
		report, err := house.AuditFile(context.Background(), dir)
		if err != nil {
			return fmt.Errorf("round %d, the house is kept in %s: %w", round+1, dir, err)
		}
		fmt.Printf("round %2d: killed after %v: %5d finished (%d compensated), %4d under way, %d events\n",
			round+1, after, report.Finished, report.Compensated, report.Running, report.Events)
	}
	if err := runHouses(dir, transfers, make([]time.Duration, processes)); err != nil {
		return err
	}
	report, err := house.AuditFile(context.Background(), dir)
	if err == nil && (report.Finished != transfers || report.Running != 0 || report.Failed != 0) {
		err = fmt.Errorf("%d of %d transfers have finished, %d are under way, %d have failed",
			report.Finished, transfers, report.Running, report.Failed)
	}
	if err != nil {
		return fmt.Errorf("last round, the house is kept in %s: %w", dir, err)
	}
	fmt.Printf("nothing lost: %d transfers finished, %d of them compensated, %d in %d accounts as at first, %d events\n",
		report.Finished, report.Compensated, report.Money, report.Accounts, report.Events)
	return nil
}

// runHouses runs processes. Each is killed after its time, unless that is zero: then it must end by itself.
func runHouses(dir string, transfers int, after []time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	problems := make([]error, len(after))
	var group sync.WaitGroup
	for i, d := range after {
		group.Go(func() { problems[i] = runHouse(self, dir, transfers, d) })
	}
	group.Wait()
	return errors.Join(problems...)
}

func runHouse(self, dir string, transfers int, killAfter time.Duration) error {
	worker := exec.CommandContext(context.Background(), self, "-transfers", fmt.Sprint(transfers)) //nolint:gosec // this program
	worker.Env = append(os.Environ(), workerDir+"="+dir)
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		return err
	}
	if killAfter > 0 {
		timer := time.AfterFunc(killAfter, func() { _ = worker.Process.Kill() })
		defer timer.Stop()
	}
	err := worker.Wait()
	if exited, ok := errors.AsType[*exec.ExitError](err); ok && killAfter > 0 && !exited.Exited() {
		return nil // killed
	}
	return err
}
