// Package account is the behaviour of a bank account: plain Go over protobuf messages.
package account

import (
	"context"
	"fmt"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/bank/bankpb"
)

// Kind is the name under which accounts are stored.
const Kind = "account"

// The codes with which an account refuses commands.
const (
	AlreadyOpen       = "already_open"
	NotOpen           = "not_open"
	InvalidAmount     = "invalid_amount"
	InsufficientFunds = "insufficient_funds"
)

// Account is an event-sourced account.
type Account struct {
	id string
}

// New returns the behaviour of the account with the given id.
func New(id string) ego.EventSourcedBehavior { return &Account{id: id} }

// ID returns the identity of the account.
func (a *Account) ID() string { return a.id }

// InitialState returns an account that nobody has opened.
func (a *Account) InitialState() ego.State { return new(bankpb.Account) }

// HandleCommand decides which events a command causes.
func (a *Account) HandleCommand(_ context.Context, command ego.Command, prior ego.State) ([]ego.Event, error) {
	account := prior.(*bankpb.Account)
	if open, ok := command.(*bankpb.OpenAccount); ok {
		return openAccount(account, open)
	}
	if account.GetOwner() == "" {
		return nil, ego.Reject(NotOpen, "account %s is not open", a.id)
	}
	switch c := command.(type) {
	case *bankpb.Credit:
		if c.GetAmount() <= 0 {
			return nil, ego.Reject(InvalidAmount, "the amount %d is not above zero", c.GetAmount())
		}
		return []ego.Event{&bankpb.Credited{Amount: c.GetAmount(), Transfer: c.GetTransfer()}}, nil
	case *bankpb.Debit:
		if c.GetAmount() <= 0 {
			return nil, ego.Reject(InvalidAmount, "the amount %d is not above zero", c.GetAmount())
		}
		if c.GetAmount() > account.GetBalance() {
			return nil, ego.Reject(InsufficientFunds, "the balance is %d", account.GetBalance())
		}
		return []ego.Event{&bankpb.Debited{Amount: c.GetAmount(), Transfer: c.GetTransfer()}}, nil
	default:
		return nil, fmt.Errorf("unknown command %T", command)
	}
}

func openAccount(account *bankpb.Account, open *bankpb.OpenAccount) ([]ego.Event, error) {
	switch {
	case account.GetOwner() != "":
		return nil, ego.Reject(AlreadyOpen, "the account belongs to %s", account.GetOwner())
	case open.GetOwner() == "":
		return nil, ego.Reject(NotOpen, "an account needs an owner")
	case open.GetDeposit() < 0:
		return nil, ego.Reject(InvalidAmount, "the deposit %d is below zero", open.GetDeposit())
	}
	return []ego.Event{&bankpb.AccountOpened{Owner: open.GetOwner(), Deposit: open.GetDeposit()}}, nil
}

// HandleEvent returns the account after an event.
func (a *Account) HandleEvent(_ context.Context, event ego.Event, prior ego.State) (ego.State, error) {
	account := prior.(*bankpb.Account)
	next := &bankpb.Account{Owner: account.GetOwner(), Balance: account.GetBalance()}
	switch e := event.(type) {
	case *bankpb.AccountOpened:
		next.Owner, next.Balance = e.GetOwner(), e.GetDeposit()
	case *bankpb.Credited:
		next.Balance += e.GetAmount()
	case *bankpb.Debited:
		next.Balance -= e.GetAmount()
	default:
		return nil, fmt.Errorf("unknown event %T", event)
	}
	return next, nil
}
