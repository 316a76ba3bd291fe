package account_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/eventadapter/adaptertest"
	"github.com/actorkeep/ego/examples/bank/bankpb"
)

// Journals of the bank that were written by older releases of it can still be read.
func TestGolden(t *testing.T) {
	t.Parallel()
	adaptertest.Golden{
		Dir: "testdata/golden",
		Samples: []proto.Message{
			&bankpb.AccountOpened{Owner: "Ada", Deposit: 10},
			&bankpb.Credited{Amount: 500, Transfer: "salary"},
			&bankpb.Debited{Amount: 200, Transfer: "rent"},
		},
	}.Run(t)
}
