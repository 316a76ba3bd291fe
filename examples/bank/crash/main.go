// Crash proves that the bank loses nothing: it runs the bank in a process of its own, kills it with SIGKILL at random
// moments, and checks its books with a reader that shares no code with the store.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/actorkeep/ego/examples/bank/internal/audit"
	"github.com/actorkeep/ego/examples/bank/internal/teller"
	"github.com/actorkeep/ego/internal/mongotest"
)

// What the process that is killed is told.
const (
	workerRun       = "EGO_BANK_WORKER_RUN"
	workerTransfers = "EGO_BANK_WORKER_TRANSFERS"
)

// A plan is what is done to the bank.
type plan struct {
	place                       teller.Place
	rounds, accounts, transfers int
	longest                     time.Duration
	seed                        uint64
}

func main() {
	var p plan
	private := flag.Bool("mongo", false, "work on a FerretDB that is started for this, and not on the embedded store")
	flag.StringVar(&p.place.Mongo, "store", "", "connection string of a MongoDB, mongodb://…, to use instead of the directory")
	flag.StringVar(&p.place.Database, "database", "ego_crash", "database of the bank on MongoDB")
	flag.StringVar(&p.place.Dir, "dir", "", "directory of the bank; a temporary one when empty")
	flag.IntVar(&p.rounds, "rounds", 20, "how often the bank is killed")
	flag.IntVar(&p.accounts, "accounts", 200, "accounts of the bank")
	flag.IntVar(&p.transfers, "transfers", 1000, "transfers of the last round, in which nobody is killed")
	flag.DurationVar(&p.longest, "longest", 4*time.Second, "longest time that the bank works until it is killed")
	flag.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "seed of the random moments")
	flag.Parse()
	if err := run(p, *private); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// run is the bank in the process that is killed, and the one that kills it in the other.
func run(p plan, private bool) (err error) {
	if run := os.Getenv(workerRun); run != "" {
		return p.work(context.Background(), run)
	}
	switch {
	case private:
		defer mongotest.Close()
		if p.place.Mongo, err = mongotest.SharedURL(); err != nil {
			return err
		}
	case p.place.Mongo == "" && p.place.Dir == "":
		if p.place.Dir, err = os.MkdirTemp("", "ego-crash-"); err != nil {
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

// work is the process that is killed: it finishes what is under way and goes on, telling each acknowledged command.
func (p *plan) work(ctx context.Context, run string) error {
	bank, err := teller.Open(ctx, p.place, func(ack teller.Ack) {
		// One write for each line: what was written is in the pipe, whatever becomes of this process.
		_, _ = fmt.Fprintf(os.Stdout, "%s %s %d\n", ack.Entity, ack.Command, ack.Revision)
	})
	if err != nil {
		return err
	}
	if _, err := bank.FinishTransfers(ctx); err != nil {
		return err
	}
	if err := bank.OpenAccounts(ctx, p.accounts, 1000); err != nil {
		return err
	}
	transfers, err := strconv.Atoi(os.Getenv(workerTransfers))
	if err != nil {
		return err
	}
	load := &teller.Load{Accounts: p.accounts, Transfers: transfers, Senders: 64, Run: run, Seed: uint64(len(run)) + uint64(transfers)}
	if _, err := bank.Work(ctx, load); err != nil {
		return err
	}
	if _, err := bank.Check(ctx); err != nil {
		return err
	}
	return bank.Close(ctx)
}

// crash runs the rounds and the last one, in which nobody is killed.
func (p *plan) crash() error {
	fmt.Printf("bank in %v, %d rounds, -seed %d\n", p.place, p.rounds, p.seed)
	random := rand.New(rand.NewPCG(p.seed, 0))
	var acks []teller.Ack
	for round := range p.rounds {
		k := &kill{after: time.Duration(random.Int64N(int64(p.longest)))}
		if random.IntN(4) == 0 {
			k = &kill{after: time.Duration(random.Int64N(int64(200 * time.Millisecond))), early: true}
		}
		told, err := p.runBank(fmt.Sprintf("%d-%d", p.seed, round), 10_000_000, k)
		if err != nil {
			return err
		}
		acks = append(acks, told...)
		report, err := audit.Place(context.Background(), p.place, acks)
		if err != nil {
			return fmt.Errorf("round %d, the bank is in %v: %w", round+1, p.place, err)
		}
		fmt.Printf("round %2d: killed %-23v %6d acknowledged, in all %7d of %7d events, %2d transfers under way\n",
			round+1, k, len(told), report.Acks, report.Events, report.InFlight)
	}
	told, err := p.runBank(fmt.Sprintf("%d-last", p.seed), p.transfers, nil)
	if err != nil {
		return err
	}
	report, err := audit.Place(context.Background(), p.place, append(acks, told...))
	if err == nil && report.InFlight != 0 {
		err = fmt.Errorf("%d transfers are left under way", report.InFlight)
	}
	if err != nil {
		return fmt.Errorf("last round, the bank is in %v: %w", p.place, err)
	}
	fmt.Printf("nothing lost: %d acknowledged commands, %d events, %d accounts\n", report.Acks, report.Events, report.Accounts)
	return nil
}

// A kill is when the bank is killed: some time after its first acknowledgement, or early, after it was started, while it opens
// the store and recovers.
type kill struct {
	after time.Duration
	early bool
}

func (k *kill) String() string {
	if k.early {
		return fmt.Sprintf("%4d ms after its start", k.after.Milliseconds())
	}
	return fmt.Sprintf("%4d ms into its work", k.after.Milliseconds())
}

// runBank runs the bank once and returns what it acknowledged. It is killed, unless k is nil.
func (p *plan) runBank(run string, transfers int, k *kill) ([]teller.Ack, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	worker := exec.CommandContext(context.Background(), self, //nolint:gosec // this program, killed below
		"-dir", p.place.Dir, "-store", p.place.Mongo, "-database", p.place.Database,
		"-accounts", strconv.Itoa(p.accounts))
	worker.Env = append(os.Environ(), workerRun+"="+run, workerTransfers+"="+strconv.Itoa(transfers))
	worker.Stderr = os.Stderr
	out, err := worker.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := worker.Start(); err != nil {
		return nil, err
	}
	begin := func() {}
	if k != nil {
		timer := time.AfterFunc(time.Hour, func() { _ = worker.Process.Kill() })
		defer timer.Stop()
		begin = sync.OnceFunc(func() { timer.Reset(k.after) })
		if k.early {
			begin()
		}
	}
	acks, err := readAcks(out, begin)
	if waited := worker.Wait(); err == nil && !killed(waited, k) {
		err = waited
	}
	return acks, err
}

// killed reports whether a bank ended as it was meant to.
func killed(err error, k *kill) bool {
	exited, ok := errors.AsType[*exec.ExitError](err)
	return ok && k != nil && !exited.Exited()
}

// readAcks reads lines until the end, and tells of each. The last one may have been cut.
func readAcks(r io.Reader, told func()) ([]teller.Ack, error) {
	var acks []teller.Ack
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return acks, nil
		}
		if err != nil {
			return nil, err
		}
		var ack teller.Ack
		if _, err := fmt.Sscanf(line, "%s %s %d", &ack.Entity, &ack.Command, &ack.Revision); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		acks = append(acks, ack)
		told()
	}
}
