package transfer_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/bank/bankpb"
	"github.com/actorkeep/ego/examples/transfer/transfer"
	"github.com/actorkeep/ego/examples/transfer/transferpb"
	"github.com/actorkeep/ego/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTransfer(t *testing.T) {
	t.Parallel()
	requested := &transferpb.Requested{From: "ann", To: "bob", Amount: 7}
	debit := ego.SagaCommand{EntityID: "ann", Command: &bankpb.Debit{Amount: 7, Transfer: "t"}}
	credit := ego.SagaCommand{EntityID: "bob", Command: &bankpb.Credit{Amount: 7, Transfer: "t"}}
	refund := ego.SagaCommand{EntityID: "ann", Command: &bankpb.Credit{Amount: 7, Transfer: "t"}}

	testkit.NewSaga(t, transfer.Request("t", "ann", "bob", 7, 0)).
		WhenStarted().ThenEvents(requested).ThenCommands(debit).
		WhenResult("ann", new(bankpb.Account)).ThenEvents(new(transferpb.Debited)).ThenCommands(credit).
		WhenResult("bob", new(bankpb.Account)).ThenCompleted()
	testkit.NewSaga(t, transfer.New("t")).
		GivenEvents(requested, new(transferpb.Debited)).
		WhenError("bob", ego.Reject("closed", "no such account")).ThenCompensated(refund)
	testkit.NewSaga(t, transfer.Request("t", "ann", "bob", 7, time.Hour)).
		WhenStarted().ThenNoCommands().ThenTimers(ego.SagaTimer{Name: "hold", After: time.Hour}).
		WhenTimeout("hold").ThenCommands(debit)
	testkit.NewSaga(t, transfer.New("t")).WhenStarted().ThenError("without a request")
}
