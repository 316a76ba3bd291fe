package testkit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit"
)

// payment is a saga that withdraws, and gives back when it is canceled after that.
type payment struct{ fault string }

func (p *payment) ID() string              { return "payment-1" }
func (p *payment) InitialState() ego.State { return new(testpb.Account) }

func (p *payment) Start(context.Context, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{
		Commands: []ego.SagaCommand{{EntityID: "ann", Command: &testpb.Withdraw{Amount: 5}, Timeout: time.Second}},
		Timers:   []ego.SagaTimer{{Name: "remind", After: time.Hour}},
	}, nil
}

func (p *payment) HandleEvent(_ context.Context, event ego.Event, _ ego.State) (*ego.SagaAction, error) {
	if p.fault == "modify" {
		event.(*testpb.Deposited).Amount++
	}
	return nil, nil
}

func (p *payment) HandleResult(_ context.Context, _ string, result, _ ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Events: []ego.Event{&testpb.Deposited{Amount: result.(*testpb.Account).GetBalance()}}, Complete: true}, nil
}

func (p *payment) HandleError(_ context.Context, _ string, err error, _ ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Compensate: true}, err
}

func (p *payment) HandleTimeout(context.Context, string, ego.State) (*ego.SagaAction, error) {
	return &ego.SagaAction{Compensate: true}, nil
}

func (p *payment) ApplyEvent(_ context.Context, event ego.Event, state ego.State) (ego.State, error) {
	balance := state.(*testpb.Account).GetBalance() + event.(*testpb.Deposited).GetAmount()
	switch p.fault {
	case "drift":
		p.fault = "drifted"
	case "drifted":
		balance++
	}
	return &testpb.Account{Balance: balance}, nil
}

func (p *payment) Compensate(_ context.Context, state ego.State) ([]ego.SagaCommand, error) {
	if state.(*testpb.Account).GetBalance() == 0 {
		return nil, nil
	}
	return []ego.SagaCommand{{EntityID: "ann", Command: &testpb.Deposit{Amount: 5}}}, nil
}

func TestSagaScenario(t *testing.T) {
	t.Parallel()
	withdraw := ego.SagaCommand{EntityID: "ann", Command: &testpb.Withdraw{Amount: 5}}

	t.Run("TellsTheStory", func(t *testing.T) {
		t.Parallel()
		refused := errors.New("no")
		testkit.NewSaga(t, new(payment)).
			WhenStarted().ThenCommands(withdraw).ThenTimers(ego.SagaTimer{Name: "remind", After: time.Hour}).
			WhenEvent(&testpb.Deposited{Amount: 1}).ThenNothing().ThenNoCommands().
			WhenTimeout("remind").ThenCompensated().
			GivenEvents(&testpb.Deposited{Amount: 5}).
			WhenCanceled().ThenCompensated(ego.SagaCommand{EntityID: "ann", Command: &testpb.Deposit{Amount: 5}}).
			WhenError("ann", refused).ThenError(refused).
			GivenState(&testpb.Account{Balance: 1}).
			WhenResult("ann", &testpb.Account{Balance: 2}).
			ThenEvents(&testpb.Deposited{Amount: 2}).ThenState(&testpb.Account{Balance: 3}).ThenCompleted()
	})
	for name, c := range map[string]struct {
		fault, message string
		run            func(s *testkit.SagaScenario)
	}{
		"WrongCommand": {"", "command 1, amount: want 6, got 5", func(s *testkit.SagaScenario) {
			s.WhenStarted().ThenCommands(ego.SagaCommand{EntityID: "ann", Command: &testpb.Withdraw{Amount: 6}})
		}},
		"WrongTimeout": {"", "command 1, timeout", func(s *testkit.SagaScenario) {
			s.WhenStarted().ThenCommands(ego.SagaCommand{EntityID: "ann", Command: &testpb.Withdraw{Amount: 5}, Timeout: 1})
		}},
		"MissingCommand":  {"", "command 2", func(s *testkit.SagaScenario) { s.WhenStarted().ThenCommands(withdraw, withdraw) }},
		"UnwantedCommand": {"", "command 1", func(s *testkit.SagaScenario) { s.WhenStarted().ThenNoCommands() }},
		"NotCompensated":  {"", "want it to compensate", func(s *testkit.SagaScenario) { s.WhenStarted().ThenCompensated() }},
		"NotCompleted":    {"", "want it to complete", func(s *testkit.SagaScenario) { s.WhenStarted().ThenCompleted() }},
		"OtherPlan": {"", "command 1", func(s *testkit.SagaScenario) {
			s.WhenCanceled().ThenCompensated(withdraw)
		}},
		"NoTimer":         {"", "want the timers", func(s *testkit.SagaScenario) { s.WhenStarted().ThenTimers() }},
		"NotNothing":      {"", "want nothing, got ann", func(s *testkit.SagaScenario) { s.WhenStarted().ThenNothing() }},
		"UnexpectedError": {"", "no ThenError expects it", func(s *testkit.SagaScenario) { s.WhenError("ann", errors.New("no")).WhenStarted() }},
		"ModifiedEvent": {"modify", "HandleEvent modified the event", func(s *testkit.SagaScenario) {
			s.WhenEvent(&testpb.Deposited{Amount: 1})
		}},
		"FoldThatDrifts": {"drift", "ApplyEvent is not repeatable", func(s *testkit.SagaScenario) {
			s.GivenEvents(&testpb.Deposited{Amount: 1})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, failureOf(t, func(tb testing.TB) { c.run(testkit.NewSaga(tb, &payment{fault: c.fault})) }), c.message)
		})
	}
}
