package workload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	goakt "github.com/tochemey/goakt/v3/actor"
	"github.com/tochemey/goakt/v3/address"
	"github.com/tochemey/goakt/v3/discovery/static"
	"github.com/tochemey/goakt/v3/remote"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
)

// pair is a cluster of two nodes in this process: commands are sent to the front, and entities live behind it.
type pair struct {
	front, behind *ego.Engine
}

func startPair() (*pair, error) {
	ports, err := freePorts(6)
	if err != nil {
		return nil, err
	}
	store := memory.NewStore()
	if err := store.Connect(context.Background()); err != nil {
		return nil, err
	}
	kind := ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return testaccount.New(id) })
	engines := make([]*ego.Engine, 2)
	for i, role := range []string{"behind", "front"} {
		engines[i], err = start(store, ego.WithKinds(kind), ego.WithCluster(ego.ClusterConfig{
			Discovery: static.NewDiscovery(&static.Config{Hosts: []string{
				fmt.Sprint("127.0.0.1:", ports[0]), fmt.Sprint("127.0.0.1:", ports[3]),
			}}),
			Host: "127.0.0.1", DiscoveryPort: ports[3*i], RemotingPort: ports[3*i+1], PeersPort: ports[3*i+2],
			Roles: []string{role}, EntityRole: "behind", MinimumPeersQuorum: 2,
		}))
		if err != nil {
			return nil, err
		}
	}
	return &pair{front: engines[1], behind: engines[0]}, nil
}

func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()                         //nolint:revive // all are held until all are found
		ports[i] = listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it is
	}
	return ports, nil
}

func (p *pair) Close() error {
	return errors.Join(p.front.Stop(context.Background()), p.behind.Stop(context.Background()))
}

// RemoteCommands are deposits to accounts of another node.
type RemoteCommands struct {
	*Commands
	pair *pair
}

// StartRemoteCommands starts two nodes and makes n accounts live on one of them.
func StartRemoteCommands(n int) (*RemoteCommands, error) {
	p, err := startPair()
	if err != nil {
		return nil, err
	}
	c := &RemoteCommands{&Commands{engine: p.front, ids: IDs(n)}, p}
	for _, id := range c.ids {
		if err := p.front.Entity(context.Background(), testaccount.New(id)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Close implements [Side].
func (c *RemoteCommands) Close() error { return c.pair.Close() }

// echo answers every message with itself.
type echo struct{}

func (*echo) PreStart(*goakt.Context) error { return nil }
func (*echo) PostStop(*goakt.Context) error { return nil }

func (*echo) Receive(ctx *goakt.ReceiveContext) {
	if m, ok := ctx.Message().(*testpb.Deposit); ok {
		ctx.Response(m)
	}
}

// RemoteAsks are batches of messages to a bare actor of another node.
type RemoteAsks struct {
	pair     *pair
	from, to *address.Address
	remoting remote.Remoting
	batch    []proto.Message
}

// StartRemoteAsks starts two nodes and an actor on one of them, which is asked so many things at a time.
func StartRemoteAsks(batch int) (*RemoteAsks, error) {
	p, err := startPair()
	if err != nil {
		return nil, err
	}
	pid, err := p.behind.ActorSystem().Spawn(context.Background(), "echo", new(echo), goakt.WithLongLived())
	if err != nil {
		return nil, err
	}
	a := &RemoteAsks{
		pair: p, from: address.NoSender(), to: pid.Address(),
		remoting: remote.NewRemoting(remote.WithRemotingCompression(remote.NoCompression)),
	}
	for range batch {
		a.batch = append(a.batch, &testpb.Deposit{Amount: 1})
	}
	return a, nil
}

// Sender implements [Side].
func (a *RemoteAsks) Sender(int) func() (int, error) {
	return func() (int, error) {
		answers, err := a.remoting.RemoteBatchAsk(context.Background(), a.from, a.to, a.batch, time.Minute)
		return len(answers), err
	}
}

// Close implements [Side].
func (a *RemoteAsks) Close() error {
	a.remoting.Close()
	return a.pair.Close()
}
