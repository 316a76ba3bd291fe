package account_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/bank/account"
	"github.com/actorkeep/ego/examples/bank/bankpb"
)

func TestAccount(t *testing.T) {
	t.Parallel()
	ann := &bankpb.Account{Owner: "Ann", Balance: 10}
	for name, c := range map[string]struct {
		prior   *bankpb.Account
		command ego.Command
		code    string
		balance int64
	}{
		"Open":             {&bankpb.Account{}, &bankpb.OpenAccount{Owner: "Ann", Deposit: 5}, "", 5},
		"OpenTwice":        {ann, &bankpb.OpenAccount{Owner: "Bob"}, account.AlreadyOpen, 0},
		"OpenForNobody":    {&bankpb.Account{}, &bankpb.OpenAccount{}, account.NotOpen, 0},
		"OpenInDebt":       {&bankpb.Account{}, &bankpb.OpenAccount{Owner: "Ann", Deposit: -1}, account.InvalidAmount, 0},
		"Credit":           {ann, &bankpb.Credit{Amount: 5}, "", 15},
		"CreditNothing":    {ann, &bankpb.Credit{}, account.InvalidAmount, 0},
		"CreditNotOpen":    {&bankpb.Account{}, &bankpb.Credit{Amount: 5}, account.NotOpen, 0},
		"DebitAll":         {ann, &bankpb.Debit{Amount: 10}, "", 0},
		"DebitTooMuch":     {ann, &bankpb.Debit{Amount: 11}, account.InsufficientFunds, 0},
		"DebitLessThanNil": {ann, &bankpb.Debit{Amount: -1}, account.InvalidAmount, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behavior := account.New("a")
			events, err := behavior.HandleCommand(t.Context(), c.command, c.prior)
			if c.code != "" {
				var refusal *ego.CommandError
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, c.code, refusal.Code)
				return
			}
			require.NoError(t, err)
			state := ego.State(c.prior)
			for _, event := range events {
				state, err = behavior.HandleEvent(t.Context(), event, state)
				require.NoError(t, err)
			}
			require.Equal(t, c.balance, state.(*bankpb.Account).GetBalance())
		})
	}
}
