// Crash proves that the bank loses nothing: it runs the bank in a process of its own, kills it with SIGKILL at random
// moments, and checks its file with a reader that shares no code with the store.
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
	"strings"
	"time"

	"github.com/actorkeep/ego/examples/bank/internal/audit"
	"github.com/actorkeep/ego/examples/bank/internal/teller"
)

const (
	workerDir = "EGO_BANK_WORKER_DIR" // set in the process that is killed
	workerRun = "EGO_BANK_WORKER_RUN"
	accounts  = 200
)

func main() {
	rounds := flag.Int("rounds", 20, "how often the bank is killed")
	dir := flag.String("dir", "", "directory of the bank; a temporary one when empty")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random moments")
	flag.Parse()
	if err := run(*dir, *rounds, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// run is the bank in the process that is killed, and the one that kills it in the other.
func run(dir string, rounds int, seed uint64) error {
	if dir := os.Getenv(workerDir); dir != "" {
		return work(context.Background(), dir, os.Getenv(workerRun))
	}
	return crash(dir, rounds, seed)
}

// work is the process that is killed: it finishes what is under way and goes on, telling each acknowledged command.
func work(ctx context.Context, dir, run string) error {
	bank, err := teller.Open(ctx, dir, func(ack teller.Ack) {
		// One write for each line: what was written is in the pipe, whatever becomes of this process.
		_, _ = fmt.Fprintf(os.Stdout, "%s %s %d\n", ack.Entity, ack.Command, ack.Revision)
	})
	if err != nil {
		return err
	}
	if _, err := bank.FinishTransfers(ctx); err != nil {
		return err
	}
	if err := bank.OpenAccounts(ctx, accounts, 1000); err != nil {
		return err
	}
	transfers, err := strconv.Atoi(os.Getenv("EGO_BANK_WORKER_TRANSFERS"))
	if err != nil {
		return err
	}
	load := &teller.Load{Accounts: accounts, Transfers: transfers, Senders: 64, Run: run, Seed: uint64(len(run)) + uint64(transfers)}
	if _, err := bank.Work(ctx, load); err != nil {
		return err
	}
	if _, err := bank.Check(ctx); err != nil {
		return err
	}
	return bank.Close(ctx)
}

// crash runs the rounds and the last one, in which nobody is killed.
func crash(dir string, rounds int, seed uint64) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "ego-crash-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(dir)
			}
		}()
	}
	fmt.Printf("bank in %s, %d rounds, -seed %d\n", dir, rounds, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var acks []teller.Ack
	for round := range rounds {
		after := time.Duration(random.Int64N(int64(4 * time.Second)))
		if random.IntN(4) == 0 {
			after = time.Duration(random.Int64N(int64(200 * time.Millisecond))) // while it starts or recovers
		}
		told, err := runBank(dir, fmt.Sprintf("%d-%d", seed, round), 10_000_000, after)
		if err != nil {
			return err
		}
		acks = append(acks, told...)
		report, err := audited(dir, acks)
		if err != nil {
			return fmt.Errorf("round %d, the bank is kept in %s: %w", round+1, dir, err)
		}
		fmt.Printf("round %2d: killed after %4d ms, %6d acknowledged, in all %7d of %7d events, %2d transfers under way\n",
			round+1, after.Milliseconds(), len(told), report.Acks, report.Events, report.InFlight)
	}
	told, err := runBank(dir, fmt.Sprintf("%d-last", seed), 1000, 0)
	if err != nil {
		return err
	}
	report, err := audited(dir, append(acks, told...))
	if err == nil && report.InFlight != 0 {
		err = fmt.Errorf("%d transfers are left under way", report.InFlight)
	}
	if err != nil {
		return fmt.Errorf("last round, the bank is kept in %s: %w", dir, err)
	}
	fmt.Printf("nothing lost: %d acknowledged commands, %d events, %d accounts\n", report.Acks, report.Events, report.Accounts)
	return nil
}

// audited checks the file, if the bank came so far as to make it.
func audited(dir string, acks []teller.Ack) (audit.Report, error) {
	path := teller.Path(dir)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && len(acks) == 0 {
		return audit.Report{}, nil
	}
	report, err := audit.File(path, acks)
	if err != nil && len(acks) == 0 && strings.Contains(err.Error(), "no such table") {
		return audit.Report{}, nil
	}
	return report, err
}

// runBank runs the bank once and returns what it acknowledged. It is killed after a time, unless that is zero.
func runBank(dir, run string, transfers int, killAfter time.Duration) ([]teller.Ack, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	worker := exec.CommandContext(context.Background(), self) //nolint:gosec // this program, killed below
	worker.Env = append(os.Environ(), workerDir+"="+dir, workerRun+"="+run, "EGO_BANK_WORKER_TRANSFERS="+strconv.Itoa(transfers))
	worker.Stderr = os.Stderr
	out, err := worker.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := worker.Start(); err != nil {
		return nil, err
	}
	if killAfter > 0 {
		timer := time.AfterFunc(killAfter, func() { _ = worker.Process.Kill() })
		defer timer.Stop()
	}
	acks, err := readAcks(out)
	if waited := worker.Wait(); err == nil && killAfter == 0 {
		err = waited
	}
	return acks, err
}

// readAcks reads lines until the end. The last one may have been cut.
func readAcks(r io.Reader) ([]teller.Ack, error) {
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
	}
}
