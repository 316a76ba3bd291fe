// Package audit checks the file of a bank with nothing but SQL and protobuf, independently of the store that wrote it.
package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	_ "modernc.org/sqlite" // the driver

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/examples/bank/bankpb"
	"github.com/actorkeep/ego/examples/bank/internal/teller"
)

// A Report is what the file holds.
type Report struct {
	Events   int
	Accounts int
	Acks     int // acknowledged commands, each counted once
	InFlight int // transfers that were debited and not credited
}

// File checks that every acknowledged command is in the journal at its revision, that the numbers of each account and the
// positions of each shard are contiguous, that no command took effect twice, that no account is overdrawn, and that the
// money is all there, counting what is on its way.
func File(path string, acks []teller.Ack) (report Report, err error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return report, err
	}
	db, err := sql.Open("sqlite", "file:"+absolute)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	b := newBooks()
	if err := b.read(db); err != nil {
		return report, err
	}
	b.checkMoney()
	type command struct{ entity, id string }
	distinct := map[command]bool{} // after a crash some are sent and acknowledged again
	for _, ack := range acks {
		b.checkAck(ack)
		distinct[command{ack.Entity, ack.Command}] = true
	}
	report = Report{Events: b.events, Accounts: len(b.last), Acks: len(distinct), InFlight: len(b.open)}
	return report, errors.Join(b.problems...)
}

// books are what the events add up to.
type books struct {
	events   int
	last     map[string]uint64 // number of the last event of an account
	position int64             // of the last event, with its shard
	balances map[string]int64
	deposits int64
	open     map[string]int64             // amounts of the transfers under way
	commands map[string]map[string]uint64 // account → command → number
	problems []error
}

func newBooks() *books {
	return &books{
		last:     map[string]uint64{},
		balances: map[string]int64{},
		open:     map[string]int64{},
		commands: map[string]map[string]uint64{},
	}
}

func (b *books) fail(format string, args ...any) {
	b.problems = append(b.problems, fmt.Errorf(format, args...))
}

// read goes through the journal by shard and position: a place is shard * 2^51 + position.
func (b *books) read(db *sql.DB) error {
	rows, err := db.QueryContext(context.Background(), `SELECT place, persistence_id, sequence_number, record FROM ego_events ORDER BY place`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			place  int64
			id     string
			number uint64
			record []byte
		)
		if err := rows.Scan(&place, &id, &number, &record); err != nil {
			return err
		}
		if err := b.add(place, id, number, record); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (b *books) add(place int64, id string, number uint64, record []byte) error {
	event := new(egopb.Event)
	if err := proto.Unmarshal(record, event); err != nil {
		return err
	}
	message, err := event.GetPayload().UnmarshalNew()
	if err != nil {
		return err
	}
	b.events++
	b.checkOrder(place, id, number)
	b.post(id, message)
	return b.note(id, event.GetCommandId(), number)
}

func (b *books) checkOrder(place int64, id string, number uint64) {
	const positions = 1 << 51
	position := place % positions
	if place/positions == b.position/positions && b.position != 0 {
		if place != b.position+1 {
			b.fail("shard %d goes from position %d to %d", place/positions, b.position%positions, position)
		}
	} else if position != 1 {
		b.fail("shard %d begins with position %d", place/positions, position)
	}
	b.position = place
	if number != b.last[id]+1 {
		b.fail("account %s goes from event %d to %d", id, b.last[id], number)
	}
	b.last[id] = number
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
