package house

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/examples/bank/bankpb"
	"github.com/actorkeep/ego/persistence"
)

// A Report is what an audit has counted.
type Report struct {
	Accounts, Events  int
	Money             int64 // in the accounts, and on its way
	Finished, Running int   // transfers
	Compensated       int   // of those that have finished
	Failed            int
}

// books are the accounts and transfers as the journal tells them, read without any behaviour.
type books struct {
	Report
	problems  []error
	deposits  int64
	balances  map[string]int64
	transfers map[string]*entries
	ends      map[string]egopb.SagaStatus // of the sagas; unspecified while they run
}

// entries are what a transfer did to accounts.
type entries struct {
	debits, credits int
	open            int64 // taken and not given to anybody
}

// AuditPlace checks the books of a place while nobody works on them.
func AuditPlace(ctx context.Context, place Place) (report Report, err error) {
	store, err := place.Open(ctx)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, store.Disconnect(ctx)) }()
	return Audit(ctx, store)
}

// Audit reads the whole journal and returns what is wrong: money that was made or lost, a transfer that took effect twice or
// in part, an overdrawn account, numbers that do not follow each other, a running saga that owns no timer.
func Audit(ctx context.Context, store Store) (Report, error) {
	b := &books{balances: map[string]int64{}, transfers: map[string]*entries{}, ends: map[string]egopb.SagaStatus{}}
	last := map[string]uint64{}
	for shard := range store.ShardCount() {
		for after := uint64(0); ; {
			events, err := store.GetShardEvents(ctx, shard, after, 1000)
			if err != nil {
				return b.Report, err
			}
			for _, event := range events {
				id := event.GetPersistenceId()
				if event.GetPosition() != after+1 || event.GetSequenceNumber() != last[id]+1 {
					b.fail("event %d of %s follows %d at position %d after %d", event.GetSequenceNumber(), id, last[id], event.GetPosition(), after)
				}
				after, last[id] = event.GetPosition(), event.GetSequenceNumber()
				if err := b.add(event); err != nil {
					return b.Report, err
				}
			}
			if len(events) == 0 {
				break
			}
		}
	}
	b.close()
	return b.Report, errors.Join(append(b.problems, b.checkTimers(ctx, store))...)
}

func (b *books) fail(format string, args ...any) {
	if len(b.problems) < 20 {
		b.problems = append(b.problems, fmt.Errorf(format, args...))
	}
}

func (b *books) add(event *egopb.Event) error {
	b.Events++
	message, err := event.GetPayload().UnmarshalNew()
	if err != nil {
		return err
	}
	id := event.GetPersistenceId()
	if saga, ok := strings.CutPrefix(id, "!saga/"); ok {
		b.follow(saga, message)
		return nil
	}
	switch e := message.(type) {
	case *bankpb.AccountOpened:
		b.balances[id] += e.GetDeposit()
		b.deposits += e.GetDeposit()
	case *bankpb.Credited:
		b.balances[id] += e.GetAmount()
		t := b.transfer(e.GetTransfer())
		t.credits++
		t.open -= e.GetAmount()
	case *bankpb.Debited:
		b.balances[id] -= e.GetAmount()
		t := b.transfer(e.GetTransfer())
		t.debits++
		t.open += e.GetAmount()
	}
	if b.balances[id] < 0 {
		b.fail("account %s is overdrawn: %d", id, b.balances[id])
	}
	return nil
}

func (b *books) transfer(id string) *entries {
	if b.transfers[id] == nil {
		b.transfers[id] = new(entries)
	}
	return b.transfers[id]
}

// follow notes how a saga fares.
func (b *books) follow(id string, record proto.Message) {
	if b.ends[id] == egopb.SagaStatus_SAGA_STATUS_COMPLETED || b.ends[id] == egopb.SagaStatus_SAGA_STATUS_COMPENSATED {
		b.fail("transfer %s went on after its end", id)
	}
	status := egopb.SagaStatus_SAGA_STATUS_RUNNING
	if end, ok := record.(*egopb.SagaFinished); ok {
		status = end.GetStatus()
	}
	b.ends[id] = status
}

// close compares what sagas say with what accounts say.
func (b *books) close() {
	b.Accounts = len(b.balances)
	for _, balance := range b.balances {
		b.Money += balance
	}
	for id, status := range b.ends {
		b.compare(id, status, b.transfer(id))
	}
	for id, t := range b.transfers {
		if t.open < 0 {
			b.fail("transfer %s gave what it had not taken", id)
		}
		b.Money += t.open
		if _, known := b.ends[id]; !known {
			b.fail("transfer %s moved money and has no saga", id)
		}
	}
	if b.Money != b.deposits {
		b.fail("money is not conserved: %d paid in, %d there or on its way", b.deposits, b.Money)
	}
}

// compare compares what a saga says with what it did to accounts.
func (b *books) compare(id string, status egopb.SagaStatus, t *entries) {
	switch status {
	case egopb.SagaStatus_SAGA_STATUS_COMPLETED:
		b.Finished++
		if t.debits != 1 || t.credits != 1 || t.open != 0 {
			b.fail("transfer %s has completed with %d debits and %d credits, %d open", id, t.debits, t.credits, t.open)
		}
	case egopb.SagaStatus_SAGA_STATUS_COMPENSATED:
		b.Finished++
		b.Compensated++
		if t.debits > 1 || t.credits != t.debits || t.open != 0 {
			b.fail("transfer %s was compensated with %d debits and %d credits, %d open", id, t.debits, t.credits, t.open)
		}
	case egopb.SagaStatus_SAGA_STATUS_FAILED:
		b.Failed++
	default:
		b.Running++
	}
	if t.debits > 1 || t.credits > 1 {
		b.fail("transfer %s took effect twice: %d debits, %d credits", id, t.debits, t.credits)
	}
}

// checkTimers returns an error when a running saga owns no timer.
func (b *books) checkTimers(ctx context.Context, store persistence.TimerStore) error {
	for id, status := range b.ends {
		if status != egopb.SagaStatus_SAGA_STATUS_RUNNING {
			continue
		}
		timers, err := store.OwnerTimers(ctx, "!saga/"+id)
		if err != nil {
			return err
		}
		if len(timers) == 0 {
			return fmt.Errorf("transfer %s runs and owns no timer", id)
		}
	}
	return nil
}
