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
	"github.com/actorkeep/ego/internal/pgtest"
)

const worker = "EGO_HOUSE_WORKER" // set in the processes that are killed

// maxDown is the longest time that all processes are down between two rounds; timers come due meanwhile.
const maxDown = time.Second

// A plan is what is done to the house.
type plan struct {
	place                        house.Place
	rounds, transfers, processes int
	seed                         uint64
}

func main() {
	var p plan
	private := flag.Bool("postgres", false, "work on a PostgreSQL server that is started for this, and not on the embedded store")
	flag.IntVar(&p.rounds, "rounds", 10, "how often the processes are killed")
	flag.IntVar(&p.transfers, "transfers", 1000, "transfers to make")
	flag.IntVar(&p.processes, "processes", 3, "processes that work at once")
	flag.StringVar(&p.place.Dir, "dir", "", "directory of the house; a temporary one when empty")
	flag.StringVar(&p.place.Postgres, "url", "", "connection string of the PostgreSQL database to use")
	flag.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "seed of the random moments")
	flag.Parse()
	if err := run(p, *private); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// run is the house in a process that is killed, and the one that kills in the other.
func run(p plan, private bool) (err error) {
	if os.Getenv(worker) != "" {
		return work(context.Background(), p.place, p.transfers)
	}
	switch {
	case private:
		defer pgtest.Close()
		if p.place.Postgres, err = pgtest.SharedURL(); err != nil {
			return err
		}
	case p.place == house.Place{}:
		if p.place.Dir, err = os.MkdirTemp("", "ego-saga-crash-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(p.place.Dir)
			}
		}()
	}
	return p.crash()
}

// work makes all transfers that are not made yet.
func work(ctx context.Context, place house.Place, transfers int) error {
	h, err := house.Open(ctx, place, time.Second)
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
func (p *plan) crash() error {
	fmt.Printf("house in %v, %d transfers, %d processes, %d rounds, -seed %d\n", p.place, p.transfers, p.processes, p.rounds, p.seed)
	random := rand.New(rand.NewPCG(p.seed, 0))
	for round := range p.rounds {
		after := make([]time.Duration, p.processes)
		for i := range after {
			after[i] = 200*time.Millisecond + time.Duration(random.Int64N(int64(1800*time.Millisecond)))
		}
		if err := p.runHouses(after, p.transfers*(round+1)/(p.rounds+1)); err != nil { // every round has some to make
			return err
		}
		report, err := house.AuditPlace(context.Background(), p.place)
		if err != nil {
			return fmt.Errorf("round %d, the house is in %v: %w", round+1, p.place, err)
		}
		fmt.Printf("round %2d: killed after %v: %5d finished (%d compensated), %4d under way, %d events\n",
			round+1, after, report.Finished, report.Compensated, report.Running, report.Events)
		<-time.After(time.Duration(random.Int64N(int64(maxDown))))
	}
	if err := p.runHouses(make([]time.Duration, p.processes), p.transfers); err != nil {
		return err
	}
	report, err := house.AuditPlace(context.Background(), p.place)
	if err == nil && (report.Finished != p.transfers || report.Running != 0 || report.Failed != 0) {
		err = fmt.Errorf("%d of %d transfers have finished, %d are under way, %d have failed",
			report.Finished, p.transfers, report.Running, report.Failed)
	}
	if err != nil {
		return fmt.Errorf("last round, the house is in %v: %w", p.place, err)
	}
	fmt.Printf("nothing lost: %d transfers finished, %d of them compensated, %d in %d accounts as at first, %d events\n",
		report.Finished, report.Compensated, report.Money, report.Accounts, report.Events)
	return nil
}

// runHouses runs processes until they have made so many transfers. Each is killed after its time, unless that is zero: then it
// must end by itself.
func (p *plan) runHouses(after []time.Duration, transfers int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	problems := make([]error, len(after))
	var group sync.WaitGroup
	for i, d := range after {
		group.Go(func() { problems[i] = p.runHouse(self, d, transfers) })
	}
	group.Wait()
	return errors.Join(problems...)
}

func (p *plan) runHouse(self string, killAfter time.Duration, transfers int) error {
	process := exec.CommandContext(context.Background(), self, //nolint:gosec // this program
		"-transfers", fmt.Sprint(transfers), "-dir", p.place.Dir, "-url", p.place.Postgres)
	process.Env = append(os.Environ(), worker+"=1")
	process.Stderr = os.Stderr
	if err := process.Start(); err != nil {
		return err
	}
	if killAfter > 0 {
		timer := time.AfterFunc(killAfter, func() { _ = process.Process.Kill() })
		defer timer.Stop()
	}
	err := process.Wait()
	if exited, ok := errors.AsType[*exec.ExitError](err); ok && killAfter > 0 && !exited.Exited() {
		return nil // killed
	}
	return err
}
