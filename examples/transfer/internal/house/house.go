// Package house is a clearing house: accounts and the sagas that move money between them, on the embedded store or on
// PostgreSQL.
package house

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/bank/account"
	"github.com/actorkeep/ego/examples/bank/bankpb"
	"github.com/actorkeep/ego/examples/transfer/transfer"
	"github.com/actorkeep/ego/projection"
)

const (
	// Accounts is how many accounts there are.
	Accounts = 50
	// Deposit is what each of them begins with.
	Deposit = 1000

	timeout = 10 * time.Second
)

// A House is a running engine on its store.
type House struct {
	store  Store
	engine *ego.Engine
}

// Open starts the house of a place. Sagas of a process that has died go on after a time.
func Open(ctx context.Context, place Place, resumeAfter time.Duration) (*House, error) {
	store, err := place.Open(ctx)
	if err != nil {
		return nil, err
	}
	engine := ego.NewEngine("house", store,
		ego.WithKinds(
			ego.EventSourcedKind(account.Kind, account.New, ego.WithDedupWindow(1024)),
			ego.SagaKind(transfer.Kind, transfer.New, ego.CorrelateBy(ownOnly)),
		),
		ego.WithSagaResumeAfter(resumeAfter))
	if err := engine.Start(ctx); err != nil {
		return nil, errors.Join(err, store.Disconnect(ctx))
	}
	return &House{store: store, engine: engine}, nil
}

// ownOnly leaves transfers the events of their own commands.
func ownOnly(*projection.Event) (string, bool) { return "", false }

// Close stops the house.
func (h *House) Close(ctx context.Context) error {
	return errors.Join(h.engine.Stop(ctx), h.store.Disconnect(ctx))
}

func accountID(n int) string { return fmt.Sprintf("account-%02d", n) }

// OpenAccounts opens all accounts, unless they are open.
func (h *House) OpenAccounts(ctx context.Context) error {
	for i := range Accounts {
		id := accountID(i)
		if err := h.engine.Entity(ctx, account.New(id)); err != nil {
			return err
		}
		if err := h.openAccount(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (h *House) openAccount(ctx context.Context, id string) error {
	for {
		open := &bankpb.OpenAccount{Owner: id, Deposit: Deposit}
		_, _, err := h.engine.SendCommand(ego.WithCommandID(ctx, "open/"+id), id, open, timeout)
		var refusal *ego.CommandError
		switch {
		case errors.As(err, &refusal) && refusal.Code == account.AlreadyOpen:
			return nil
		case errors.Is(err, ego.ErrConflict): // another process opens it
		default:
			return err
		}
	}
}

// A Load is a number of random transfers. Some are refused: they ask for too much, or are for an account that does not exist.
type Load struct {
	Run       string // tells the transfers of this run from those of others
	Transfers int
	Senders   int
	Hold      time.Duration // some transfers begin that long after they were requested; zero lets none wait
}

func (l *Load) transfer(i int) *transfer.Saga {
	random := rand.New(rand.NewPCG(uint64(i), 1))
	from := random.IntN(Accounts)
	to := accountID((from + 1 + random.IntN(Accounts-1)) % Accounts)
	amount := 1 + random.Int64N(50)
	after := time.Duration(0)
	switch random.IntN(10) {
	case 0:
		to = "nobody"
	case 1:
		amount = 1_000_000
	case 2, 3:
		after = l.Hold
	}
	return transfer.Request(l.id(i), accountID(from), to, amount, after)
}

func (l *Load) id(i int) string { return fmt.Sprintf("%s-%05d", l.Run, i) }

// Work makes the transfers, those that are not made yet, and returns when all are finished.
func (h *House) Work(ctx context.Context, load *Load) error {
	var (
		group    sync.WaitGroup
		mu       sync.Mutex
		problems []error
		slots    = make(chan struct{}, load.Senders)
	)
	for i := range load.Transfers {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := h.make(ctx, load, i); err != nil {
				mu.Lock()
				defer mu.Unlock()
				problems = append(problems, err)
			}
		})
	}
	group.Wait()
	return errors.Join(problems...)
}

// make makes a transfer and waits for its end.
func (h *House) make(ctx context.Context, load *Load, i int) error {
	for {
		err := h.engine.Saga(ctx, load.transfer(i), time.Hour)
		if err == nil {
			break
		}
		if !errors.Is(err, ego.ErrOutcomeUnknown) && !errors.Is(err, ego.ErrWriteFailed) && !errors.Is(err, ego.ErrConflict) {
			return err
		}
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		info, err := h.engine.SagaStatus(ctx, load.id(i), timeout)
		if err != nil {
			return err
		}
		if info.Status != ego.SagaRunning && info.Status != ego.SagaCompensating {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Count returns how many transfers have a status.
func (h *House) Count(ctx context.Context, status ego.SagaStatus) (int, error) {
	n := 0
	for _, err := range h.engine.Sagas(ctx, status) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// Audit checks the books.
func (h *House) Audit(ctx context.Context) (Report, error) { return Audit(ctx, h.store) }
