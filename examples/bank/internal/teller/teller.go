// Package teller moves money between the accounts of a bank on the embedded store or on MongoDB.
package teller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/bank/account"
	"github.com/actorkeep/ego/examples/bank/bankpb"
	"github.com/actorkeep/ego/persistence"
)

const timeout = 10 * time.Second

// An Ack is a command that was acknowledged.
type Ack struct {
	Entity, Command string
	Revision        uint64
}

// A Bank is a running engine on its store.
type Bank struct {
	store  persistence.EventsStore
	engine *ego.Engine
	onAck  func(Ack)
}

// Open starts the bank of a place, which is made when there is none. The function is told of every command that was
// acknowledged; it may be nil.
func Open(ctx context.Context, place Place, onAck func(Ack)) (*Bank, error) {
	store, err := place.open(ctx)
	if err != nil {
		return nil, err
	}
	engine := ego.NewEngine("bank", store, ego.WithKinds(ego.EventSourcedKind(account.Kind, account.New)))
	if err := engine.Start(ctx); err != nil {
		return nil, errors.Join(err, store.Disconnect(ctx))
	}
	if onAck == nil {
		onAck = func(Ack) {}
	}
	return &Bank{store: store, engine: engine, onAck: onAck}, nil
}

// Close stops the bank.
func (b *Bank) Close(ctx context.Context) error {
	return errors.Join(b.engine.Stop(ctx), b.store.Disconnect(ctx))
}

// AccountID returns the id of an account.
func AccountID(n int) string { return fmt.Sprintf("account-%05d", n) }

// OpenAccounts opens the first n accounts, each with the same deposit. Accounts that are open stay as they are.
func (b *Bank) OpenAccounts(ctx context.Context, n int, deposit int64) error {
	return each(n, 64, func(i int) error {
		id := AccountID(i)
		if err := b.engine.Entity(ctx, account.New(id)); err != nil {
			return err
		}
		open := &bankpb.OpenAccount{Owner: fmt.Sprintf("customer %d", i), Deposit: deposit}
		err := b.send(ctx, id, "open/"+id, open)
		var refusal *ego.CommandError
		if errors.As(err, &refusal) && refusal.Code == account.AlreadyOpen {
			return nil
		}
		return err
	})
}

// A Transfer moves money from one account to another.
type Transfer struct {
	From, To string
	Nonce    string // tells transfers between the same accounts apart
	Amount   int64
}

// ID returns the name of the transfer. It says all but the amount, so that an interrupted transfer can be finished from
// its debit alone.
func (t Transfer) ID() string { return t.From + "/" + t.To + "/" + t.Nonce }

func transferOf(id string, amount int64) (Transfer, error) {
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		return Transfer{}, fmt.Errorf("%q is not the name of a transfer", id)
	}
	return Transfer{From: parts[0], To: parts[1], Nonce: parts[2], Amount: amount}, nil
}

// Transfer debits one account and credits the other. It is false when the funds did not suffice. After an error, or a
// crash, FinishTransfers completes what was begun.
func (b *Bank) Transfer(ctx context.Context, t Transfer) (moved bool, err error) {
	id := t.ID()
	err = b.send(ctx, t.From, id+"/debit", &bankpb.Debit{Amount: t.Amount, Transfer: id})
	var refusal *ego.CommandError
	if errors.As(err, &refusal) && refusal.Code == account.InsufficientFunds {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, b.credit(ctx, t)
}

func (b *Bank) credit(ctx context.Context, t Transfer) error {
	return b.send(ctx, t.To, t.ID()+"/credit", &bankpb.Credit{Amount: t.Amount, Transfer: t.ID()})
}

// FinishTransfers completes the transfers that were debited and not credited, and returns how many there were. The journal
// knows them.
func (b *Bank) FinishTransfers(ctx context.Context) (int, error) {
	open, err := b.openTransfers(ctx)
	if err != nil {
		return 0, err
	}
	for id, amount := range open {
		t, err := transferOf(id, amount)
		if err != nil {
			return 0, err
		}
		if err := b.credit(ctx, t); err != nil {
			return 0, err
		}
	}
	return len(open), nil
}

// openTransfers reads the whole journal and returns the amounts of the transfers that are under way.
func (b *Bank) openTransfers(ctx context.Context) (map[string]int64, error) {
	open := make(map[string]int64)
	settle := func(transfer string, amount int64) {
		if open[transfer] += amount; open[transfer] == 0 {
			delete(open, transfer)
		}
	}
	err := b.eachEvent(ctx, func(_ string, event ego.Event) {
		switch e := event.(type) {
		case *bankpb.Debited:
			settle(e.GetTransfer(), e.GetAmount())
		case *bankpb.Credited:
			settle(e.GetTransfer(), -e.GetAmount())
		}
	})
	return open, err
}

// eachEvent reads the journal shard by shard.
func (b *Bank) eachEvent(ctx context.Context, visit func(id string, event ego.Event)) error {
	const page = 2000
	for shard := range b.store.ShardCount() {
		for after := uint64(0); ; {
			events, err := b.store.GetShardEvents(ctx, shard, after, page)
			if err != nil {
				return err
			}
			for _, event := range events {
				message, err := event.GetPayload().UnmarshalNew()
				if err != nil {
					return err
				}
				visit(event.GetPersistenceId(), message)
				after = event.GetPosition()
			}
			if len(events) < page {
				break
			}
		}
	}
	return nil
}

// send sends a command under its id until its outcome is certain: with an id, a repeat is harmless.
func (b *Bank) send(ctx context.Context, id, commandID string, command ego.Command) error {
	ctx = ego.WithCommandID(ctx, commandID)
	for attempt := 1; ; attempt++ {
		_, revision, err := b.engine.SendCommand(ctx, id, command, timeout)
		if err == nil {
			b.onAck(Ack{Entity: id, Command: commandID, Revision: revision})
			return nil
		}
		retryable := errors.Is(err, ego.ErrConflict) || errors.Is(err, ego.ErrOutcomeUnknown) || errors.Is(err, ego.ErrWriteFailed)
		if !retryable || attempt == 5 || ctx.Err() != nil {
			return err
		}
	}
}

// Totals is the money of a bank, counted in two ways.
type Totals struct {
	Accounts  int
	Deposits  int64 // what was paid in when the accounts were opened
	Balances  int64 // what the live accounts say
	Journaled int64 // what the events of the journal add up to
}

// Check counts the money. It is to be conserved: without a transfer under way all three sums are equal.
func (b *Bank) Check(ctx context.Context) (Totals, error) {
	var totals Totals
	accounts := make(map[string]bool)
	err := b.eachEvent(ctx, func(id string, event ego.Event) {
		accounts[id] = true
		switch e := event.(type) {
		case *bankpb.AccountOpened:
			totals.Deposits += e.GetDeposit()
			totals.Journaled += e.GetDeposit()
		case *bankpb.Credited:
			totals.Journaled += e.GetAmount()
		case *bankpb.Debited:
			totals.Journaled -= e.GetAmount()
		}
	})
	if err != nil {
		return totals, err
	}
	totals.Accounts = len(accounts)
	for id := range accounts {
		state, _, err := b.engine.EntityState(ctx, id, timeout)
		if err != nil {
			return totals, err
		}
		totals.Balances += state.(*bankpb.Account).GetBalance()
	}
	if totals.Balances != totals.Deposits || totals.Journaled != totals.Deposits {
		return totals, fmt.Errorf("money is not conserved: paid in %d, balances %d, journal %d",
			totals.Deposits, totals.Balances, totals.Journaled)
	}
	return totals, nil
}

// each calls work for 0 to n-1 from several goroutines and returns the errors.
func each(n, workers int, work func(i int) error) error {
	var (
		mu       sync.Mutex
		next     int
		problems []error
		group    sync.WaitGroup
	)
	for range workers {
		group.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				stop := i >= n || len(problems) > 0
				mu.Unlock()
				if stop {
					return
				}
				if err := work(i); err != nil {
					mu.Lock()
					problems = append(problems, err)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return errors.Join(problems...)
}
