package clustertest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	goakt "github.com/tochemey/goakt/v3/actor"
	"github.com/tochemey/goakt/v3/address"
	"github.com/tochemey/goakt/v3/remote"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testpb"
)

const echoName = "echo"

// echo answers every message with itself.
type echo struct{}

func (*echo) PreStart(*goakt.Context) error { return nil }
func (*echo) PostStop(*goakt.Context) error { return nil }

func (*echo) Receive(ctx *goakt.ReceiveContext) {
	if m, ok := ctx.Message().(*testpb.Deposit); ok {
		ctx.Response(m)
	}
}

// spawnEcho spawns a bare actor on the actor system of a node.
func spawnEcho(ctx context.Context, engine *ego.Engine) answer {
	_, err := engine.ActorSystem().Spawn(context.WithoutCancel(ctx), echoName, new(echo), goakt.WithLongLived())
	return newAnswer(nil, 0, err)
}

// askEcho asks the bare actor of another node over and over, and returns how long each batch took.
func askEcho(ctx context.Context, c *call) (a answer) {
	remoting := remote.NewRemoting(remote.WithRemotingCompression(remote.NoCompression))
	defer remoting.Close()
	to, err := address.Parse(c.To)
	if err != nil {
		return newAnswer(nil, 0, err)
	}
	batch := make([]proto.Message, c.Senders)
	for i := range batch {
		batch[i] = &testpb.Deposit{Amount: 1}
	}
	for asked := 0; asked < c.Count; asked += len(batch) {
		begun := time.Now()
		if _, err := remoting.RemoteBatchAsk(ctx, address.NoSender(), to, batch, time.Minute); err != nil {
			return newAnswer(nil, 0, err)
		}
		a.Others = append(a.Others, time.Since(begun))
	}
	return a
}

// benchmarkBare has the first node ask a bare actor of the second.
func (c *testCluster) benchmarkBare(b *testing.B, batch int) {
	b.Helper()
	asker, asked := c.nodes[0], &c.nodes[1].spec
	if !c.echoes {
		c.nodes[1].must(call{Op: "echo"})
		c.echoes = true
	}
	to := address.New(echoName, "accounts", asked.Host, asked.Remoting).String()
	b.ResetTimer()
	a := asker.must(call{Op: "ask echo", To: to, Senders: batch, Count: b.N, Timeout: 5 * time.Minute})
	require.NotEmpty(b, a.Others)
	b.ReportMetric(float64(len(a.Others)*batch)/b.Elapsed().Seconds(), "messages/s")
	report(b, a.Others, "batch-")
}
