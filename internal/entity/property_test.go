package entity_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/snapshot"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
)

// model is what the journal must hold: the amounts of its events and the ids of the commands behind them.
type model struct {
	amounts []int64
	ids     []string
}

func (m *model) balance() (sum int64) {
	for _, amount := range m.amounts {
		sum += amount
	}
	return sum
}

// handled returns the revision after a command that took effect.
func (m *model) handled(id string) (uint64, bool) {
	for i := len(m.ids) - 1; id != "" && i >= 0; i-- {
		if m.ids[i] == id {
			return uint64(i) + 1, true
		}
	}
	return 0, false
}

func (m *model) append(amount int64, id string) {
	m.amounts, m.ids = append(m.amounts, amount), append(m.ids, id)
}

func (m *model) clone() *model {
	return &model{append([]int64(nil), m.amounts...), append([]string(nil), m.ids...)}
}

// apply handles a command as the entity must, and returns the balance and the revision of the answer, or a refusal.
func (m *model) apply(c *sent) (balance int64, revision uint64, refused bool) {
	if recorded, repeat := m.handled(c.id); repeat {
		return m.balance(), recorded, false
	}
	switch command := c.command.(type) {
	case *testpb.Deposit:
		if command.GetAmount() < 0 {
			return 0, 0, true
		}
		if command.GetAmount() > 0 {
			m.append(command.GetAmount(), c.id)
		}
	case *testpb.Withdraw:
		if command.GetAmount() > m.balance() {
			return 0, 0, true
		}
		m.append(-command.GetAmount(), c.id)
	case *testpb.Misbehave:
		return 0, 0, true
	}
	return m.balance(), uint64(len(m.amounts)), false
}

func drawCommand(t *rapid.T) *sent {
	c := &sent{id: rapid.SampledFrom([]string{"", "", "c1", "c2", "c3", "c4"}).Draw(t, "id")}
	switch rapid.IntRange(0, 9).Draw(t, "command") {
	case 0:
		c.command = &testpb.Misbehave{How: rapid.SampledFrom([]string{"panic", "nil event", "apply", "apply panic", "nil state", "invalid utf8"}).Draw(t, "how")}
	case 1:
	case 2, 3, 4:
		c.command = &testpb.Withdraw{Amount: rapid.Int64Range(1, 20).Draw(t, "amount")}
	default:
		c.command = &testpb.Deposit{Amount: rapid.Int64Range(-1, 10).Draw(t, "amount")}
	}
	return c
}

// TestEntityIsWhatItsJournalSays drives an entity through random commands, faults, crashes, foreign writers, snapshots and
// deletions, and compares every answer and the journal with the model.
func TestEntityIsWhatItsJournalSays(t *testing.T) { // G1, G2, G8, G9, G11
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := newFixture(t, entity.Settings{
			DedupWindow:      1000,
			BatchThreshold:   rapid.IntRange(0, 4).Draw(t, "threshold"),
			SnapshotInterval: rapid.Uint64Range(0, 4).Draw(t, "interval"),
			Retention: snapshot.Retention{
				Events: rapid.Bool().Draw(t, "retention"),
				Keep:   rapid.Uint64Range(0, 3).Draw(t, "keep"),
			},
		})
		truth := new(model)
		t.Repeat(map[string]func(*rapid.T){
			"commands": func(t *rapid.T) {
				commands := rapid.SliceOfN(rapid.Custom(drawCommand), 1, 6).Draw(t, "commands")
				check(t, f.process(commands...), commands, truth)
			},
			"fault": func(t *rapid.T) {
				fate := rapid.SampledFrom([]string{"down", "lost", "never"}).Draw(t, "fate")
				f.journal.next = append(f.journal.next, map[string]func(func() error) error{
					"down": storeDown, "lost": lostReply, "never": neverSent,
				}[fate])
				c := drawCommand(t)
				got := f.process(c)[0]
				checkFault(t, got, c, fate, truth)
				f.journal.next = nil
			},
			"crash":   func(*rapid.T) { f.restart() },
			"foreign": func(t *rapid.T) { foreignWriter(t, f, truth) },
			"":        func(t *rapid.T) { checkJournal(t, f, truth) },
		})
	})
}

// check compares the answers to commands that nothing disturbed.
func check(t *rapid.T, outcomes []outcome, commands []*sent, truth *model) {
	for i, c := range commands {
		balance, revision, refused := truth.apply(c)
		got := outcomes[i]
		if refused != (got.err != nil) {
			t.Fatalf("command %d %v %v: error %v, want refusal: %v", i, c.id, c.command, got.err, refused)
		}
		if !refused && (got.revision != revision || got.account.GetBalance() != balance) {
			t.Fatalf("command %d %v %v: answered %d at %d, want %d at %d", i, c.id, c.command, got.account.GetBalance(), got.revision, balance, revision)
		}
	}
}

// checkFault compares the answer to a command whose write, if it came to one, met a fault.
func checkFault(t *rapid.T, got outcome, c *sent, fate string, truth *model) {
	after := truth.clone()
	_, _, refused := after.apply(c)
	if refused || len(after.amounts) == len(truth.amounts) {
		check(t, []outcome{got}, []*sent{c}, truth) // nothing was to be written
		return
	}
	want := entity.ErrOutcomeUnknown
	if fate == "down" {
		want = entity.ErrWriteFailed
	}
	if !errors.Is(got.err, want) {
		t.Fatalf("fault %s: error %v, want %v", fate, got.err, want)
	}
	if fate == "lost" {
		*truth = *after
	}
}

// foreignWriter appends behind the entity's back. The next write of a live entity conflicts, and only that one.
func foreignWriter(t *rapid.T, f *fixture, truth *model) {
	payload, err := anypb.New(&testpb.Deposited{Amount: 1})
	if err != nil {
		t.Fatal(err)
	}
	event := &egopb.Event{PersistenceId: "a", SequenceNumber: uint64(len(truth.amounts)) + 1, Payload: payload}
	if err := f.store.WriteEvents(context.Background(), []*egopb.Event{event}); err != nil {
		t.Fatal(err)
	}
	truth.append(1, "")
	got := f.process(deposits(1)...)[0]
	if errors.Is(got.err, persistence.ErrConflict) {
		return
	}
	check(t, []outcome{got}, deposits(1), truth) // it was cold
}

// checkJournal compares what is stored with the model.
func checkJournal(t *rapid.T, f *fixture, truth *model) {
	latest, err := f.store.GetLatestEvent(context.Background(), "a")
	if err != nil || latest.GetSequenceNumber() != uint64(len(truth.amounts)) {
		t.Fatalf("the journal ends at %d, want %d (%v)", latest.GetSequenceNumber(), len(truth.amounts), err)
	}
	for event, err := range f.store.ReplayEvents(context.Background(), "a", 1, 1<<62) {
		if err != nil {
			t.Fatal(err)
		}
		message, err := event.GetPayload().UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		amount := int64(0)
		switch e := message.(type) {
		case *testpb.Deposited:
			amount = e.GetAmount()
		case *testpb.Withdrawn:
			amount = -e.GetAmount()
		}
		if i := event.GetSequenceNumber() - 1; amount != truth.amounts[i] || event.GetCommandId() != truth.ids[i] {
			t.Fatalf("event %d is %d by %q, want %d by %q", i+1, amount, event.GetCommandId(), truth.amounts[i], truth.ids[i])
		}
	}
}
