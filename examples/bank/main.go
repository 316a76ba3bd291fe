// Bank runs a bank on the embedded store or on MongoDB: it opens accounts, moves money between them from many goroutines, and
// checks that none was lost or made. It can be killed at any moment; the next run continues from there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/actorkeep/ego/examples/bank/internal/teller"
)

func main() {
	var place teller.Place
	flag.StringVar(&place.Dir, "dir", "bank-data", "directory of the bank")
	flag.StringVar(&place.Mongo, "store", "", "connection string of a MongoDB, mongodb://…, to use instead of the directory")
	flag.StringVar(&place.Database, "database", "ego_bank", "database of the bank on MongoDB")
	accounts := flag.Int("accounts", 1000, "accounts to open")
	transfers := flag.Int("transfers", 50_000, "transfers to make")
	senders := flag.Int("senders", 256, "goroutines that make them")
	flag.Parse()

	load := &teller.Load{
		Accounts:  *accounts,
		Transfers: *transfers,
		Senders:   *senders,
		Run:       strconv.FormatInt(time.Now().UnixNano(), 36),
		Seed:      uint64(time.Now().UnixNano()),
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, place, load)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, place teller.Place, load *teller.Load) (err error) {
	if load.Accounts < 2 || load.Transfers < 0 || load.Senders < 1 {
		return errors.New("at least two accounts and one sender are needed")
	}
	bank, err := teller.Open(ctx, place, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bank.Close(context.WithoutCancel(ctx))) }()

	finished, err := bank.FinishTransfers(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("bank in %v: %d transfers of an earlier run were under way and are finished\n", place, finished)
	if err := bank.OpenAccounts(ctx, load.Accounts, 100_00); err != nil {
		return err
	}
	result, err := work(ctx, bank, load)
	if err != nil {
		return err
	}
	report(result)
	totals, err := bank.Check(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("money is conserved: %d accounts hold %d.%02d, all that was ever paid in\n",
		totals.Accounts, totals.Balances/100, totals.Balances%100)
	return nil
}

// work runs the load and shows how far it has come.
func work(ctx context.Context, bank *teller.Bank, load *teller.Load) (*teller.Result, error) {
	ended := make(chan struct{})
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		showProgress(load, ended)
	}()
	result, err := bank.Work(ctx, load)
	close(ended)
	<-shown
	return result, err
}

// showProgress draws a bar on a terminal, and elsewhere writes a line for each tenth.
func showProgress(load *teller.Load, ended <-chan struct{}) {
	const width = 40
	info, err := os.Stdout.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for told := 0; ; {
		done := int(load.Done())
		filled := width * done / max(load.Transfers, 1)
		switch tenths := 10 * filled / width; {
		case terminal:
			fmt.Printf("\r[%s%s] %d/%d transfers", strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, load.Transfers)
		case tenths > told:
			told = tenths
			fmt.Printf("%d/%d transfers\n", done, load.Transfers)
		}
		select {
		case <-ended:
			if terminal {
				fmt.Println()
			}
			return
		case <-ticker.C:
		}
	}
}

func report(r *teller.Result) {
	seconds := r.Elapsed.Seconds()
	fmt.Printf("%d transfers in %.1f s, %d refused: %.0f transfers/s\n", r.Moved, seconds, r.Refused, float64(r.Moved)/seconds)
	fmt.Printf("latency of a transfer (two durable commands): p50 %v, p95 %v, p99 %v, max %v\n",
		r.Percentile(0.50).Round(time.Microsecond), r.Percentile(0.95).Round(time.Microsecond),
		r.Percentile(0.99).Round(time.Microsecond), r.Percentile(1).Round(time.Microsecond))
}
