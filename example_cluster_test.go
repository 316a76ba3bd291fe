package ego_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/tochemey/goakt/v3/discovery/static"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/memory"
)

// freePorts returns ports of this machine that nobody listens on, below those that the system hands out by itself. A service
// has them in its configuration.
func freePorts(ctx context.Context, n int) []int {
	var ports []int
	for port := 30_000 + os.Getpid()%2000; len(ports) < n; port++ {
		if listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			_ = listener.Close()
			ports = append(ports, port)
		}
	}
	return ports
}

// Two nodes share the entities of one store. Each takes commands for all of them and hands those of the other on.
func ExampleWithCluster() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store := memory.NewStore() // nodes are processes, and share PostgreSQL, MongoDB or, on one machine, a SQLite file
	if err := store.Connect(ctx); err != nil {
		panic(err)
	}
	ports := freePorts(ctx, 6)
	peers := []string{fmt.Sprint("127.0.0.1:", ports[0]), fmt.Sprint("127.0.0.1:", ports[3])} // the discovery ports
	join := func(ports []int) *ego.Engine {
		engine := ego.NewEngine("counters", store,
			ego.WithKinds(ego.EventSourcedKind("counter", newCounter)),
			ego.WithCluster(ego.ClusterConfig{
				Discovery:          static.NewDiscovery(&static.Config{Hosts: peers}), // or that of Kubernetes, DNS, Consul, …
				Host:               "127.0.0.1",
				DiscoveryPort:      ports[0],
				RemotingPort:       ports[1],
				PeersPort:          ports[2],
				MinimumPeersQuorum: 2, // more than half of the nodes that you run
			}))
		if err := engine.Start(ctx); err != nil {
			panic(err)
		}
		return engine
	}
	first := join(ports[:3])
	defer first.Stop(ctx) //nolint:errcheck // an example
	second := join(ports[3:])
	defer second.Stop(ctx) //nolint:errcheck // an example

	for _, engine := range []*ego.Engine{first, second} {
		if err := engine.Entity(ctx, newCounter("visits")); err != nil { // live on the node that owns it, whichever that is
			panic(err)
		}
		named := ego.WithCommandID(ctx, fmt.Sprintf("%p", engine)) // safe to send again, by ego as well, when a node dies
		fmt.Println(engine.SendCommand(named, "visits", wrapperspb.Int64(5), 10*time.Second))
	}
	topology, err := second.Topology(ctx)
	fmt.Println(len(topology.Members), "members, serving:", topology.Serving, err)
	// Output:
	// value:5 1 <nil>
	// value:10 2 <nil>
	// 2 members, serving: true <nil>
}
