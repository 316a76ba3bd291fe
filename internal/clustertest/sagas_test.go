package clustertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/pgtest"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/postgres"
	"github.com/actorkeep/ego/projection"
)

// mover is a saga that moves an amount. What it is to do is in the behaviour that it was started with, and then in its
// stream: as notes and balance of an account, which stand for from, to and what was done.
type mover struct {
	id, from, to string
	amount       int64
	how          string // hold: wait before it begins; greedy: a compensation that is refused
}

func moverKind() ego.Kind {
	return ego.SagaKind("mover", func(id string) ego.SagaBehavior { return &mover{id: id} },
		ego.CorrelateBy(func(*projection.Event) (string, bool) { return "", false }))
}

var errNoRequest = errors.New("a mover was started that was not told what to do")

func (m *mover) ID() string              { return m.id }
func (m *mover) InitialState() ego.State { return new(testpb.Account) }

func note(amount int64, note string) ego.Event { return &testpb.Deposited{Amount: amount, Note: note} }

func (m *mover) Start(context.Context, ego.State) (*ego.SagaAction, error) {
	if m.from == "" {
		return nil, errNoRequest
	}
	action := &ego.SagaAction{Events: []ego.Event{note(m.amount, m.from), note(0, m.to), note(0, m.how)}}
	if m.how == "hold" {
		action.Timers = []ego.SagaTimer{{Name: "begin", After: time.Duration(m.amount) * time.Second}}
	} else {
		action.Commands = []ego.SagaCommand{{EntityID: m.from, Command: &testpb.Withdraw{Amount: m.amount}}}
	}
	return action, nil
}

func (m *mover) HandleTimeout(_ context.Context, _ string, state ego.State) (*ego.SagaAction, error) {
	s := state.(*testpb.Account)
	return &ego.SagaAction{Commands: []ego.SagaCommand{{EntityID: s.GetNotes()[0], Command: &testpb.Withdraw{Amount: s.GetBalance()}}}}, nil
}

func (m *mover) HandleEvent(context.Context, ego.Event, ego.State) (*ego.SagaAction, error) {
	return nil, nil
}

func (m *mover) HandleResult(_ context.Context, _ string, _, state ego.State) (*ego.SagaAction, error) {
	s := state.(*testpb.Account)
	if len(s.GetNotes()) == 3 {
		return &ego.SagaAction{
			Events:   []ego.Event{note(0, "debited")},
			Commands: []ego.SagaCommand{{EntityID: s.GetNotes()[1], Command: &testpb.Deposit{Amount: s.GetBalance()}}},
		}, nil
	}
	return &ego.SagaAction{Complete: true}, nil
}

func (m *mover) HandleError(context.Context, string, error, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Compensate: true}, nil
}

func (m *mover) ApplyEvent(_ context.Context, event ego.Event, state ego.State) (ego.State, error) {
	next, e := proto.CloneOf(state.(*testpb.Account)), event.(*testpb.Deposited)
	next.Balance += e.GetAmount()
	next.Notes = append(next.Notes, e.GetNote())
	return next, nil
}

func (m *mover) Compensate(_ context.Context, state ego.State) ([]ego.SagaCommand, error) {
	s := state.(*testpb.Account)
	var commands []ego.SagaCommand
	if len(s.GetNotes()) > 3 {
		commands = append(commands, ego.SagaCommand{EntityID: s.GetNotes()[0], Command: &testpb.Deposit{Amount: s.GetBalance()}})
	}
	if s.GetNotes()[2] == "greedy" {
		commands = append(commands, ego.SagaCommand{EntityID: s.GetNotes()[0] + "-fee", Command: &testpb.Withdraw{Amount: 1}})
	}
	return commands, nil
}

// greeter is a saga that a deposit with the note "greet" starts: it deposits 7 more and ends with the event of that.
type greeter struct{ mover }

func greeterKind() ego.Kind {
	return ego.SagaKind("greeter", func(id string) ego.SagaBehavior { return &greeter{mover{id: id, from: "nobody"}} },
		ego.CorrelateBy(func(event *projection.Event) (string, bool) {
			deposited, ok := event.Message.(*testpb.Deposited)
			return "greet-" + event.PersistenceID, ok && deposited.GetNote() == "greet"
		}))
}

func (g *greeter) Start(context.Context, ego.State) (*ego.SagaAction, error) { return nil, nil }

func (g *greeter) HandleEvent(ctx context.Context, event ego.Event, _ ego.State) (*ego.SagaAction, error) {
	if event.(*testpb.Deposited).GetNote() == "greet" {
		entity := strings.TrimPrefix(g.id, "greet-")
		return &ego.SagaAction{Commands: []ego.SagaCommand{{EntityID: entity, Command: &testpb.Deposit{Amount: 7, Note: "welcome"}}}}, nil
	}
	return &ego.SagaAction{Complete: true}, nil
}

func (g *greeter) HandleResult(context.Context, string, ego.State, ego.State) (*ego.SagaAction, error) {
	return nil, nil
}

func (g *greeter) Compensate(context.Context, ego.State) ([]ego.SagaCommand, error) { return nil, nil }

func sagaAnswer(info *ego.SagaInfo, err error) answer {
	a := newAnswer(nil, 0, err)
	if err == nil {
		a.Saga, a.Reason, a.Revision = info.Status.String(), info.Reason, info.Revision
	}
	return a
}

// awaitSaga waits until every node says that a saga has a status.
func (c *testCluster) awaitSaga(id, status string, nodes ...*testNode) answer {
	c.t.Helper()
	var a answer
	defer func() {
		if c.t.Failed() {
			c.t.Logf("saga %s, last seen: %+v, written by %v", id, a, c.writers(id))
		}
	}()
	for _, node := range nodes {
		require.Eventuallyf(c.t, func() bool {
			var err error
			a, err = node.call(c.t.Context(), call{Op: "saga status", ID: id})
			return err == nil && a.Saga == status
		}, patience, 20*time.Millisecond, "%s is to be %s at %s", id, status, node.name)
	}
	return a
}

// account makes an account with a balance.
func (c *testCluster) account(id string, balance int64) {
	c.t.Helper()
	c.nodes[0].must(call{Op: "entity", ID: id})
	if balance > 0 {
		c.nodes[0].must(call{Op: "deposit", ID: id, Amount: balance})
	}
}

// writers returns who has written the records of a saga, in order.
func (c *testCluster) writers(id string) []string {
	c.t.Helper()
	spec := c.nodes[0].spec
	store := postgres.NewStore(pgtest.PoolAt(c.t, spec.URL), postgres.WithSchema(spec.Schema))
	require.NoError(c.t, store.Connect(c.t.Context()))
	defer func() { require.NoError(c.t, store.Disconnect(c.t.Context())) }()
	var writers []string
	for event, err := range store.ReplayEvents(c.t.Context(), "!saga/"+id, 1, 1<<62) {
		require.NoError(c.t, err)
		writers = append(writers, event.GetWriterId())
	}
	return slices.Compact(writers)
}

func TestSagas(t *testing.T) { // G7
	t.Parallel()
	c := newCluster(t, 3)
	t.Run("AnyNode", func(t *testing.T) { testSagaCalls(t, c) })

	for i := range 6 {
		c.account(fmt.Sprint("held-", i), 10)
		c.nodes[i%3].must(call{Op: "saga", ID: fmt.Sprint("held-", i), From: fmt.Sprint("held-", i), To: "held-0", Amount: 1, Note: "hold"})
	}
	c.nodes[0].kill()
	for i := range 6 {
		c.awaitSaga(fmt.Sprint("held-", i), "completed", c.nodes[1:]...)
	}
	a := c.nodes[1].must(call{Op: "state", ID: "held-0", Timeout: patience})
	require.EqualValues(t, 15, a.Balance, "each of the sagas has moved 1, also those of the node that was killed")
}

func testSagaCalls(t *testing.T, all *testCluster) {
	t.Run("MoveFromWhereverTheyBegin", func(t *testing.T) {
		t.Parallel()
		c := &testCluster{t: t, nodes: all.nodes}
		for i := range 12 {
			from, to, id := fmt.Sprint("from-", i), fmt.Sprint("to-", i), fmt.Sprint("move-", i)
			c.account(from, 10)
			c.account(to, 0)
			c.nodes[i%3].must(call{Op: "saga", ID: id, From: from, To: to, Amount: 10})
			c.nodes[(i+1)%3].must(call{Op: "saga", ID: id, From: from, To: to, Amount: 10})
			c.awaitSaga(id, "completed", c.nodes...)
			require.EqualValues(t, 10, c.nodes[i%3].must(call{Op: "state", ID: to}).Balance)
			require.LessOrEqual(t, len(c.writers(id)), 2, "the node that began it, and its owner")
			for _, node := range c.nodes {
				a, err := node.call(t.Context(), call{Op: "saga cancel", ID: id})
				require.NoError(t, err)
				require.Equal(t, []string{"ErrSagaFinished"}, a.Matches, a.Error)
				a, err = node.call(t.Context(), call{Op: "saga retry", ID: "unknown-" + id})
				require.NoError(t, err)
				require.Equal(t, []string{"ErrEntityNotFound"}, a.Matches, a.Error)
			}
		}
	})
	t.Run("CompensateAndFailAndGoOn", func(t *testing.T) {
		t.Parallel()
		c := &testCluster{t: t, nodes: all.nodes}
		for i := range 6 {
			from, id := fmt.Sprint("payer-", i), fmt.Sprint("fails-", i)
			c.account(from, 10)
			c.account(from+"-fee", 0)
			c.nodes[i%3].must(call{Op: "saga", ID: id, From: from, To: "nobody", Amount: 10, Note: "greedy"})
			a := c.awaitSaga(id, "failed", c.nodes...)
			require.Contains(t, a.Reason, "insufficient funds")
			c.nodes[0].must(call{Op: "deposit", ID: from + "-fee", Amount: 1})
			c.nodes[(i+1)%3].must(call{Op: "saga retry", ID: id})
			c.awaitSaga(id, "compensated", c.nodes...)
			require.EqualValues(t, 10, c.nodes[i%3].must(call{Op: "state", ID: from}).Balance)
		}
	})
	t.Run("AreCanceledFromAnyNode", func(t *testing.T) {
		t.Parallel()
		c := &testCluster{t: t, nodes: all.nodes}
		for i := range 6 {
			id := fmt.Sprint("canceled-", i)
			c.nodes[i%3].must(call{Op: "saga", ID: id, From: "x", To: "y", Amount: 3600, Note: "hold"})
			c.nodes[(i+1)%3].must(call{Op: "saga cancel", ID: id})
			a := c.awaitSaga(id, "compensated", c.nodes...)
			require.Contains(t, a.Reason, "canceled")
		}
	})
	t.Run("OfEventsLiveAtTheirOwner", func(t *testing.T) {
		t.Parallel()
		c := &testCluster{t: t, nodes: all.nodes}
		for i := range 12 {
			id := fmt.Sprint("guest-", i)
			c.account(id, 0)
			c.nodes[i%3].must(call{Op: "deposit", ID: id, Amount: 1, Note: "greet"})
			c.awaitSaga("greet-"+id, "completed", c.nodes...)
			require.EqualValues(t, 8, c.nodes[i%3].must(call{Op: "state", ID: id}).Balance)
			require.Len(t, c.writers("greet-"+id), 1)
		}
	})
}
