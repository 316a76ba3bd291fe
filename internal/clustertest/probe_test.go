package clustertest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
)

// probe is an account that refuses every withdrawal with what its handler is told besides the command, and waits for the end
// of its time when a deposit says so.
type probe struct{ *testaccount.Account }

func probeKind() ego.Kind {
	return ego.EventSourcedKind("probe", func(id string) ego.EventSourcedBehavior { return &probe{testaccount.New(id)} })
}

func (p *probe) HandleCommand(ctx context.Context, command, prior proto.Message) ([]proto.Message, error) {
	switch c := command.(type) {
	case *testpb.Withdraw:
		deadline, ok := ctx.Deadline()
		metadata := ego.CommandMetadata(ctx)
		return nil, ego.Reject("probe-code", "id=%s tenant=%s deadline=%t left=%d", metadata.CommandID, metadata.Values["tenant"], ok,
			time.Until(deadline).Round(time.Second)/time.Second)
	case *testpb.Deposit:
		if c.GetNote() == "wait" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	return p.Account.HandleCommand(ctx, command, prior)
}

// What a command carries, and what comes back, is the same from every node: one of them has the entity, the others do not.
func testWhatTravels(t *testing.T, c *testCluster) { // G11, G12
	must := func(t *testing.T, node *testNode, asked call) answer {
		t.Helper()
		a, err := node.call(t.Context(), asked)
		require.NoError(t, err)
		return a
	}
	for name, test := range map[string]struct {
		asked call
		check func(t *testing.T, a answer)
	}{
		"MetadataAndCodes": {
			call{Op: "withdraw", CommandID: "c-1", Metadata: map[string]string{"tenant": "t-1"}, Timeout: time.Minute},
			func(t *testing.T, a answer) {
				t.Helper()
				require.Equal(t, "probe-code", a.Code, a.Error)
				require.Contains(t, a.Error, "id=c-1 tenant=t-1 deadline=true")
			},
		},
		"Deadlines": {
			call{Op: "deposit", Amount: 1, Note: "wait", Timeout: 300 * time.Millisecond},
			func(t *testing.T, a answer) {
				t.Helper()
				require.Contains(t, a.Matches, "ErrTimeout", a.Error)
			},
		},
		"Panics": {
			call{Op: "misbehave", Note: "panic"},
			func(t *testing.T, a answer) {
				t.Helper()
				require.Equal(t, "panic", a.Code, a.Error)
			},
		},
		"InvalidEvents": {
			call{Op: "misbehave", Note: "apply"},
			func(t *testing.T, a answer) {
				t.Helper()
				require.NotEmpty(t, a.Error)
				require.NotContains(t, a.Matches, "ErrTimeout", a.Error)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 6 { // the three nodes own some each
				id := fmt.Sprint(strings.ToLower(name), "-", i)
				c.nodes[i%3].must(call{Op: "probe", ID: id})
				test.asked.ID = id
				for _, node := range c.nodes {
					test.check(t, must(t, node, test.asked))
				}
				for _, node := range c.nodes {
					a := node.must(call{Op: "deposit", ID: id, Amount: 1})
					require.Positive(t, a.Balance, "the entity goes on")
				}
			}
		})
	}
	t.Run("DurableState", func(t *testing.T) {
		t.Parallel()
		for i := range 6 {
			id := fmt.Sprint("purse-", i)
			c.nodes[i%3].must(call{Op: "purse", ID: id})
			for j, node := range c.nodes {
				a := node.must(call{Op: "deposit", ID: id, Amount: 5, CommandID: node.name})
				require.EqualValues(t, j+1, a.Revision)
			}
			for _, node := range c.nodes {
				require.EqualValues(t, 15, node.must(call{Op: "state", ID: id}).Balance)
				require.EqualValues(t, 3, node.must(call{Op: "deposit", ID: id, Amount: 5, CommandID: "node-2"}).Revision, "a repeat")
			}
		}
	})
}
