package ego

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	goakt "github.com/tochemey/goakt/v3/actor"
	"github.com/tochemey/goakt/v3/discovery"

	"github.com/actorkeep/ego/internal/cluster"
	"github.com/actorkeep/ego/internal/egoactor"
	"github.com/actorkeep/ego/persistence"
)

const (
	defaultFenceAfter = 3 * time.Second
	maxRoleBytes      = 256 // GoAkt gossips all roles in a packet of 512 bytes
)

// ClusterConfig says how an engine joins a cluster. Every node of a cluster has the same engine name, kinds and stores.
//
// The entities are shared out over the live members: an entity belongs to a shard, the one that its events are stored
// under, and a shard to a member. Every engine takes every command and sends it to the owner. A member that comes or goes
// moves its share of the shards and nothing else. GoAkt gives up a member that does not answer after 5 to 7 seconds; one
// whose process has ended refuses connections and is given up within 2.
type ClusterConfig struct {
	// Discovery finds the other nodes, by one of GoAkt's providers: their discovery ports. It is required.
	Discovery discovery.Provider

	// Host is where this node listens and the others reach it, an address or a name. 0.0.0.0 stands for the first private
	// address of the machine. It is required.
	Host string

	// RemotingPort takes commands, DiscoveryPort gossip (TCP and UDP) and PeersPort what GoAkt keeps in common. All three
	// are required and differ.
	RemotingPort, DiscoveryPort, PeersPort int

	// MinimumPeersQuorum is how many live members, this one included, a node must see to own entities. Make it more than
	// half of the nodes that you run: then at most one side of a partition works, and the other joins it again by itself
	// when the partition ends. Zero is one, with which both sides go on; the store keeps them from diverging, but they
	// are in each other's way.
	MinimumPeersQuorum int

	// Roles are the roles of this node.
	Roles []string

	// EntityRole is the role that a node needs to own entities. All nodes must agree on it. The default is none.
	EntityRole string

	// TLS secures remoting and gossip, and lets in nobody else: it holds the certificate of this node, which must be good
	// for servers and clients, and the authorities (RootCAs, or else ClientCAs) that sign those of all nodes and of nobody
	// else. Both sides always verify the other. With a ServerName, every certificate must carry that name; the addresses
	// of nodes are not compared. The default is no TLS.
	TLS *tls.Config

	// UncheckedAnswers lets a node answer from memory alone what writes nothing: questions for the state, refusals and
	// repeats. For some seconds after a shard has moved, or after a node was suspended, such an answer can be older than
	// what another node has already acknowledged. By default the node asks the store first whether its memory is the
	// newest, once for all that wait; what writes is always checked by the store.
	UncheckedAnswers bool

	// FenceAfter is how long a node that has lost its quorum goes on. The default is 3 seconds.
	FenceAfter time.Duration

	// StayFenced keeps a node that has lost its quorum from leaving and joining the cluster anew. It then stays as it is
	// until the program stops the engine, unless GoAkt sees a quorum again.
	StayFenced bool
}

// WithCluster makes the engine a node of a cluster. Start rejects a configuration without discovery or host, with ports that
// are missing or equal, with a negative quorum, and an engine without kinds: every node must be able to build every entity.
func WithCluster(joined ClusterConfig) Option {
	return engineOption(func(c *config) { c.cluster = &joined })
}

// validate returns all that is wrong with the configuration.
func (c *ClusterConfig) validate(kinds []Kind) error {
	var problems []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			problems = append(problems, fmt.Errorf("ego: cluster: "+format, args...))
		}
	}
	wrong(isNil(c.Discovery), "there is no discovery provider")
	wrong(c.Host == "", "the host is empty")
	wrong(c.MinimumPeersQuorum < 0, "the quorum %d is negative", c.MinimumPeersQuorum)
	wrong(c.FenceAfter < 0, "the time to go on without a quorum, %v, is negative", c.FenceAfter)
	if c.TLS != nil {
		wrong(len(c.TLS.Certificates) == 0 && c.TLS.GetCertificate == nil, "TLS has no certificate")
		wrong(c.TLS.RootCAs == nil && c.TLS.ClientCAs == nil, "TLS names no authorities for the certificates of the nodes")
	}
	wrong(len(kinds) == 0, "no kinds are registered: another node could not build an entity, see WithKinds")
	for _, role := range c.Roles {
		wrong(role == "" || strings.HasPrefix(role, egoactor.RolePrefix), "the role %q is empty or begins with %q", role, egoactor.RolePrefix)
	}
	bytes := len(strings.Join(c.Roles, ""))
	wrong(bytes > maxRoleBytes, "the roles have %d bytes together, more than %d", bytes, maxRoleBytes)
	return errors.Join(append(problems, c.validatePorts())...)
}

func (c *ClusterConfig) validatePorts() error {
	var problems []error
	names, ports := [...]string{"remoting", "discovery", "peers"}, [...]int{c.RemotingPort, c.DiscoveryPort, c.PeersPort}
	for i, port := range ports {
		if port < 1 || port > 65535 {
			problems = append(problems, fmt.Errorf("ego: cluster: the %s port %d is not between 1 and 65535", names[i], port))
			continue
		}
		for j := range i {
			if port == ports[j] {
				problems = append(problems, fmt.Errorf("ego: cluster: the %s port %d is the %s port as well", names[i], port, names[j]))
			}
		}
	}
	return errors.Join(problems...)
}

// clustered is what a node of a cluster has besides what every node has.
type clustered struct {
	local *node
	node  *cluster.Node
	fresh fresh
}

// join makes the node a member of the cluster that is configured, if any.
func (n *node) join(ctx context.Context, name string) error {
	config := n.config.cluster
	if config == nil {
		return nil
	}
	c := &clustered{local: n}
	server, client := mutualTLS(config.TLS)
	runtime := egoactor.NewClusterRuntime(egoactor.ClusterConfig{
		Name:          name,
		Discovery:     config.Discovery,
		Host:          config.Host,
		RemotingPort:  config.RemotingPort,
		DiscoveryPort: config.DiscoveryPort,
		PeersPort:     config.PeersPort,
		Roles:         config.Roles,
		ServerTLS:     server,
		ClientTLS:     client,
		Logger:        n.config.logger,
	})
	grace := config.FenceAfter
	if grace == 0 {
		grace = defaultFenceAfter
	}
	var err error
	c.node, err = cluster.Join(ctx, cluster.Config{
		Runtime:    runtime,
		Shards:     n.shards(),
		Role:       config.EntityRole,
		Quorum:     max(config.MinimumPeersQuorum, 1),
		Grace:      grace,
		Logger:     n.config.logger,
		Retried:    n.record.RoutedAgain,
		Asked:      n.record.Asker(),
		Serve:      c.serve,
		Moved:      c.letGo,
		Entities:   n.host.Count,
		StayFenced: config.StayFenced,
	})
	if err != nil {
		return err
	}
	n.cluster = c
	return nil
}

// shards returns how many shards the entities are in. Event-sourced and durable-state entities are placed alike.
func (n *node) shards() uint32 {
	switch {
	case n.events != nil:
		return n.events.ShardCount()
	case n.states != nil:
		return n.states.ShardCount()
	}
	return persistence.DefaultShards
}

// letGo evicts the entities that other nodes own.
func (c *clustered) letGo(owned func(entityID string) bool) {
	c.local.host.EvictAll(func(id string) bool { return !owned(id) })
	c.local.spawned.forget(func(id string) bool { return !owned(id) })
}

// system returns the actor system that is a member, nil while the node joins anew.
func (c *clustered) system() goakt.ActorSystem {
	if session, ok := c.node.Session().(*egoactor.ClusterSession); ok {
		return session.System()
	}
	return nil
}

// health returns why the node does not serve, nil when it does.
func (c *clustered) health() error {
	s := c.node.Status()
	if s.Problem != nil {
		return fmt.Errorf("ego: cluster: %w", s.Problem)
	}
	if s.State != cluster.Serving {
		return fmt.Errorf("%w: the node is %s, sees %d and needs %d", ErrNoQuorum, s.State, s.Live, s.Quorum)
	}
	return nil
}
