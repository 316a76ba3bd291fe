// Package audit checks the books of a bank with nothing but SQL, or the driver of MongoDB, and protobuf, independently of the
// store that wrote them.
package audit

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/examples/bank/bankpb"
	"github.com/actorkeep/ego/examples/bank/internal/teller"
)

// A Report is what the books hold.
type Report struct {
	Events   int
	Accounts int
	Acks     int // acknowledged commands, each counted once
	InFlight int // transfers that were debited and not credited
}

// Place checks that every acknowledged command is in the journal at its revision, that the numbers of each account and the
// positions of each shard are contiguous, that no command took effect twice, that no account is overdrawn, and that the
// money is all there, counting what is on its way. Books that nothing was written to are in order when nothing was
// acknowledged.
func Place(ctx context.Context, place teller.Place, acks []teller.Ack) (Report, error) {
	b := newBooks()
	read := b.readFile
	if place.Mongo != "" {
		read = b.readMongo
	}
	if err := read(ctx, place); err != nil {
		return Report{}, err
	}
	b.checkMoney()
	type command struct{ entity, id string }
	distinct := map[command]bool{} // after a crash some are sent and acknowledged again
	for _, ack := range acks {
		b.checkAck(ack)
		distinct[command{ack.Entity, ack.Command}] = true
	}
	report := Report{Events: b.events, Accounts: len(b.last), Acks: len(distinct), InFlight: len(b.open)}
	return report, errors.Join(b.problems...)
}

// books are what the events add up to.
type books struct {
	events    int
	last      map[string]uint64 // number of the last event of an account
	positions map[uint64]uint64 // position of the last event of a shard
	balances  map[string]int64
	deposits  int64
	open      map[string]int64             // amounts of the transfers under way
	commands  map[string]map[string]uint64 // account → command → number
	problems  []error
}

func newBooks() *books {
	return &books{
		last:      map[string]uint64{},
		positions: map[uint64]uint64{},
		balances:  map[string]int64{},
		open:      map[string]int64{},
		commands:  map[string]map[string]uint64{},
	}
}

func (b *books) fail(format string, args ...any) {
	b.problems = append(b.problems, fmt.Errorf(format, args...))
}

// add takes the next event of a shard and of an account.
func (b *books) add(shard, position uint64, id string, number uint64, record []byte) error {
	event := new(egopb.Event)
	if err := proto.Unmarshal(record, event); err != nil {
		return err
	}
	message, err := event.GetPayload().UnmarshalNew()
	if err != nil {
		return err
	}
	b.events++
	if last := b.positions[shard]; position != last+1 {
		b.fail("shard %d goes from position %d to %d", shard, last, position)
	}
	b.positions[shard] = position
	if number != b.last[id]+1 {
		b.fail("account %s goes from event %d to %d", id, b.last[id], number)
	}
	b.last[id] = number
	b.post(id, message)
	return b.note(id, event.GetCommandId(), number)
}

func (b *books) post(id string, message proto.Message) {
	switch e := message.(type) {
	case *bankpb.AccountOpened:
		b.balances[id] += e.GetDeposit()
		b.deposits += e.GetDeposit()
	case *bankpb.Credited:
		b.balances[id] += e.GetAmount()
		b.settle(e.GetTransfer(), -e.GetAmount())
	case *bankpb.Debited:
		b.balances[id] -= e.GetAmount()
		b.settle(e.GetTransfer(), e.GetAmount())
	}
	if b.balances[id] < 0 {
		b.fail("account %s is overdrawn: %d", id, b.balances[id])
	}
}

func (b *books) settle(transfer string, amount int64) {
	if b.open[transfer] += amount; b.open[transfer] == 0 {
		delete(b.open, transfer)
	}
}

func (b *books) note(id, command string, number uint64) error {
	if command == "" {
		return nil
	}
	if b.commands[id] == nil {
		b.commands[id] = map[string]uint64{}
	}
	if earlier, twice := b.commands[id][command]; twice {
		b.fail("command %s took effect twice on %s: as event %d and %d", command, id, earlier, number)
	}
	b.commands[id][command] = number
	return nil
}

func (b *books) checkMoney() {
	sum := int64(0)
	for _, balance := range b.balances {
		sum += balance
	}
	for transfer, amount := range b.open {
		if amount < 0 {
			b.fail("transfer %s was credited without a debit", transfer)
		}
		sum += amount
	}
	if sum != b.deposits {
		b.fail("money is not conserved: %d paid in, %d there or on its way", b.deposits, sum)
	}
}

func (b *books) checkAck(ack teller.Ack) {
	number, stored := b.commands[ack.Entity][ack.Command]
	switch {
	case !stored:
		b.fail("command %s on %s was acknowledged and is lost", ack.Command, ack.Entity)
	case number != ack.Revision:
		b.fail("command %s on %s was acknowledged as event %d and is event %d", ack.Command, ack.Entity, ack.Revision, number)
	}
}
