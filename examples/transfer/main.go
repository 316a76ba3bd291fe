// Transfer moves money between the accounts of a bank by sagas, on the embedded store or on PostgreSQL. It can be killed at
// any moment; the next run continues from there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/transfer/internal/house"
)

func main() {
	dir := flag.String("dir", "transfer-data", "directory of the house")
	url := flag.String("postgres", "", "connection string of a PostgreSQL database to use instead of the directory")
	transfers := flag.Int("transfers", 1000, "transfers to make")
	senders := flag.Int("senders", 64, "transfers under way at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, house.Place{Dir: *dir, Postgres: *url}, *transfers, *senders)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "transfer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, place house.Place, transfers, senders int) (err error) {
	h, err := house.Open(ctx, place, 5*time.Second)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	if err := h.OpenAccounts(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := h.Work(ctx, &house.Load{Run: began.Format("150405"), Transfers: transfers, Senders: senders}); err != nil {
		return err
	}
	elapsed := time.Since(began)
	fmt.Printf("%d transfers in %v, %.0f/s\n", transfers, elapsed.Round(time.Millisecond), float64(transfers)/elapsed.Seconds())
	for _, status := range []ego.SagaStatus{ego.SagaCompleted, ego.SagaCompensated, ego.SagaFailed, ego.SagaRunning} {
		n, err := h.Count(ctx, status)
		if err != nil {
			return err
		}
		fmt.Printf("  %-12s %d\n", status, n)
	}
	report, err := h.Audit(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("  %d in %d accounts, as it was\n", report.Money, report.Accounts)
	return nil
}
