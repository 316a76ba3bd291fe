// Package testaccount is the behaviour that ego's own tests run.
package testaccount

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/testpb"
)

// ErrInsufficient is what a withdrawal beyond the balance is refused with.
var ErrInsufficient = errors.New("insufficient funds")

// Account is an event-sourced account.
type Account struct {
	id string
}

// New returns the behaviour of an account.
func New(id string) *Account { return &Account{id: id} }

// ID returns the identity of the account.
func (a *Account) ID() string { return a.id }

// InitialState returns an account that nobody has opened.
func (a *Account) InitialState() proto.Message { return new(testpb.Account) }

// HandleCommand decides on a command. The ways in which [testpb.Misbehave] makes it fail are: "panic", "nil event",
// "typed nil event", "invalid utf8", "apply" and "apply panic", which let the event handler fail, and "nil state".
func (a *Account) HandleCommand(_ context.Context, command, prior proto.Message) ([]proto.Message, error) {
	account := prior.(*testpb.Account)
	switch c := command.(type) {
	case *testpb.OpenAccount:
		if account.GetOwner() != "" {
			return nil, fmt.Errorf("account %s is open already", a.id)
		}
		return []proto.Message{&testpb.AccountOpened{Owner: c.GetOwner()}}, nil
	case *testpb.Deposit:
		switch {
		case c.GetAmount() < 0:
			return nil, errors.New("the amount is negative")
		case c.GetAmount() == 0:
			return nil, nil
		}
		return []proto.Message{&testpb.Deposited{Amount: c.GetAmount(), Note: c.GetNote()}}, nil
	case *testpb.Withdraw:
		if c.GetAmount() > account.GetBalance() {
			return nil, fmt.Errorf("%w: balance is %d", ErrInsufficient, account.GetBalance())
		}
		return []proto.Message{&testpb.Withdrawn{Amount: c.GetAmount()}}, nil
	case *testpb.Misbehave:
		return misbehave(account, c.GetHow())
	default:
		return nil, fmt.Errorf("unknown command %T", command)
	}
}

func misbehave(account *testpb.Account, how string) ([]proto.Message, error) {
	switch how {
	case "panic":
		account.Balance = -1 // what a handler must not do, and might have done before it panicked
		panic("as asked")
	case "nil event":
		return []proto.Message{&testpb.Deposited{Amount: 1}, nil}, nil
	case "typed nil event":
		return []proto.Message{(*testpb.Deposited)(nil)}, nil
	case "invalid utf8":
		return []proto.Message{&testpb.Deposited{Amount: 1, Note: "\xff"}}, nil
	default:
		return []proto.Message{&testpb.Deposited{Amount: 1}, &testpb.Misbehaved{How: how}}, nil
	}
}

// HandleEvent folds an event.
func (a *Account) HandleEvent(_ context.Context, event, prior proto.Message) (proto.Message, error) {
	account := prior.(*testpb.Account)
	next := &testpb.Account{
		Owner:   account.GetOwner(),
		Balance: account.GetBalance(),
		Changes: account.GetChanges() + 1,
		Notes:   account.GetNotes(),
	}
	switch e := event.(type) {
	case *testpb.AccountOpened:
		next.Owner = e.GetOwner()
	case *testpb.Deposited:
		next.Balance += e.GetAmount()
		if e.GetNote() != "" {
			next.Notes = append(slices.Clip(next.Notes), e.GetNote())
		}
	case *testpb.Withdrawn:
		next.Balance -= e.GetAmount()
	case *testpb.Misbehaved:
		switch e.GetHow() {
		case "apply panic":
			panic("as asked")
		case "nil state":
			return nil, nil
		default:
			return nil, errors.New("as asked")
		}
	default:
		return nil, fmt.Errorf("unknown event %T", event)
	}
	return next, nil
}

// Purse is a durable-state account. It handles [testpb.Deposit], [testpb.Withdraw] and [testpb.Misbehave].
type Purse struct {
	id string
}

// NewPurse returns the behaviour of a purse.
func NewPurse(id string) *Purse { return &Purse{id: id} }

// ID returns the identity of the purse.
func (p *Purse) ID() string { return p.id }

// InitialState returns an empty purse.
func (p *Purse) InitialState() proto.Message { return new(testpb.Account) }

// HandleCommand returns the purse after a command.
func (p *Purse) HandleCommand(_ context.Context, command, prior proto.Message, revision uint64) (proto.Message, error) {
	account := prior.(*testpb.Account)
	if account.GetChanges() != revision {
		return nil, fmt.Errorf("the state has %d changes at revision %d", account.GetChanges(), revision)
	}
	next := proto.CloneOf(account)
	next.Changes++
	switch c := command.(type) {
	case *testpb.Deposit:
		if c.GetAmount() == 0 {
			return nil, nil
		}
		next.Balance += c.GetAmount()
		if c.GetNote() != "" {
			next.Notes = append(next.Notes, c.GetNote())
		}
	case *testpb.Withdraw:
		if c.GetAmount() > account.GetBalance() {
			return nil, fmt.Errorf("%w: balance is %d", ErrInsufficient, account.GetBalance())
		}
		next.Balance -= c.GetAmount()
	case *testpb.Misbehave:
		account.Balance = -1
		panic("as asked")
	default:
		return nil, fmt.Errorf("unknown command %T", command)
	}
	return next, nil
}
