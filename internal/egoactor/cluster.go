package egoactor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	goakt "github.com/tochemey/goakt/v3/actor"
	"github.com/tochemey/goakt/v3/address"
	"github.com/tochemey/goakt/v3/discovery"
	gerrors "github.com/tochemey/goakt/v3/errors"
	"github.com/tochemey/goakt/v3/remote"
	gtls "github.com/tochemey/goakt/v3/tls"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/cluster"
)

// RolePrefix begins the role by which a member tells the name of its gateway. The number is the version of the wire format:
// members of another are no members to us.
const RolePrefix = "ego.v1/"

const (
	partitions      = 19
	clusterTimeout  = 5 * time.Second
	shutdownTimeout = 5 * time.Second
	gatewayTimeout  = 20 * time.Second
	dialTimeout     = 2 * time.Second

	startAttempts = 3
	startPause    = 500 * time.Millisecond
)

// ClusterConfig is what it takes to join a GoAkt cluster.
type ClusterConfig struct {
	Name          string // of the actor system; the nodes of a cluster share it
	Discovery     discovery.Provider
	Host          string
	RemotingPort  int
	DiscoveryPort int
	PeersPort     int
	Roles         []string
	ServerTLS     *tls.Config // nil: no TLS
	ClientTLS     *tls.Config
	Logger        *slog.Logger
}

// ClusterRuntime joins GoAkt clusters. Every membership is an actor system of its own, which holds the gateway and the
// actors of the program; entities live in another, so that their names are not registered in the cluster and a membership
// can end without them.
type ClusterRuntime struct {
	config ClusterConfig
}

var _ cluster.Runtime = (*ClusterRuntime)(nil)

// NewClusterRuntime returns a runtime that has joined nothing.
func NewClusterRuntime(config ClusterConfig) *ClusterRuntime { return &ClusterRuntime{config: config} }

// Join starts an actor system that is a member of the cluster.
func (r *ClusterRuntime) Join(ctx context.Context, epoch string, receive func(*egopb.ClusterBatch)) (cluster.Session, error) {
	system, err := r.startAny(ctx, epoch)
	if err != nil {
		return nil, err
	}
	s := newSession(&r.config, system, epoch)
	if err := s.openGateway(ctx, receive); err != nil {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*shutdownTimeout)
		defer cancel()
		return nil, errors.Join(err, s.Leave(leaving))
	}
	return s, nil
}

// startAny starts an actor system. GoAkt gives up on a cluster whose other members are busy, with a timeout of its own that
// cannot be set; a start that failed is tried again while the context and the ports allow.
func (r *ClusterRuntime) startAny(ctx context.Context, epoch string) (goakt.ActorSystem, error) {
	var failed error
	for attempt := range startAttempts {
		if attempt > 0 {
			select {
			case <-time.After(startPause):
			case <-ctx.Done():
				return nil, errors.Join(ctx.Err(), failed)
			}
		}
		if err := r.config.checkPorts(ctx); err != nil {
			return nil, errors.Join(err, failed)
		}
		provider, err := prepare(ctx, r.config.Discovery)
		if err != nil {
			return nil, errors.Join(err, failed)
		}
		removeLeftFiles(time.Now())
		system, err := r.newSystem(epoch, provider)
		if err != nil {
			return nil, fmt.Errorf("ego: the actor system cannot be made: %w", err)
		}
		if failed = start(ctx, system); failed == nil {
			return system, nil
		}
		stopFailed(system)
	}
	return nil, failed
}

// checkPorts finds out whether the ports are free. GoAkt ends the process when the port of its remoting is taken.
func (c *ClusterConfig) checkPorts(ctx context.Context) error {
	var problems []error
	for name, port := range map[string]int{"remoting": c.RemotingPort, "discovery": c.DiscoveryPort, "peers": c.PeersPort} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cluster.ID{Host: c.Host, Port: port}.Address())
		if err != nil {
			problems = append(problems, fmt.Errorf("ego: the %s port cannot be used: %w", name, err))
			continue
		}
		problems = append(problems, listener.Close())
	}
	gossip, err := new(net.ListenConfig).ListenPacket(ctx, "udp", cluster.ID{Host: c.Host, Port: c.DiscoveryPort}.Address())
	if err != nil {
		return errors.Join(append(problems, fmt.Errorf("ego: the discovery port cannot be used: %w", err))...)
	}
	return errors.Join(append(problems, gossip.Close())...)
}

func (r *ClusterRuntime) newSystem(epoch string, provider discovery.Provider) (goakt.ActorSystem, error) {
	c := &r.config
	options := []goakt.Option{
		goakt.WithLogger(Logger(c.Logger)),
		goakt.WithRemote(remote.NewConfig(c.Host, c.RemotingPort, remote.WithCompression(remote.NoCompression))),
		goakt.WithoutRelocation(),
		goakt.WithShutdownTimeout(shutdownTimeout),
		goakt.WithCluster(goakt.NewClusterConfig().
			WithDiscovery(provider).
			WithDiscoveryPort(c.DiscoveryPort).
			WithPeersPort(c.PeersPort).
			WithPartitionCount(partitions).
			WithMinimumPeersQuorum(1). // the quorum is ours: GoAkt's would keep nodes from starting one by one
			WithReplicaCount(2).
			WithReadQuorum(1).
			WithWriteQuorum(1).
			WithReadTimeout(clusterTimeout).
			WithWriteTimeout(clusterTimeout).
			WithShutdownTimeout(shutdownTimeout).
			WithRoles(append(slices.Clone(c.Roles), RolePrefix+epoch)...).
			WithKinds(new(gateway))),
	}
	if c.ServerTLS != nil {
		options = append(options, goakt.WithTLS(&gtls.Info{ServerConfig: c.ServerTLS, ClientConfig: c.ClientTLS}))
	}
	return goakt.NewActorSystem(c.Name, options...)
}

// start starts an actor system. GoAkt keeps the context that it is given, may panic, and cannot be interrupted: a system
// that starts after the context has ended is stopped again.
func start(ctx context.Context, system goakt.ActorSystem) error {
	done := make(chan error, 1)
	go func() { done <- startSystem(system) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		go func() {
			if <-done == nil {
				_ = stopSystem(system)
			}
		}()
		return fmt.Errorf("ego: the actor system does not start: %w", ctx.Err())
	}
}

func startSystem(system goakt.ActorSystem) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("ego: the actor system panicked while starting: %v", value)
		}
	}()
	if err := system.Start(context.Background()); err != nil {
		return fmt.Errorf("ego: the actor system cannot be started: %w", err)
	}
	return nil
}

func stopSystem(system goakt.ActorSystem) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("ego: the actor system panicked while stopping: %v", value)
		}
	}()
	if err := system.Stop(context.Background()); err != nil {
		return fmt.Errorf("ego: the actor system cannot be stopped: %w", err)
	}
	return nil
}

// ClusterSession is a membership of a GoAkt cluster.
type ClusterSession struct {
	config  *ClusterConfig
	system  goakt.ActorSystem
	self    cluster.Member
	clients *clients
}

func newSession(config *ClusterConfig, system goakt.ActorSystem, epoch string) *ClusterSession {
	options := []remote.RemotingOption{
		remote.WithRemotingCompression(remote.NoCompression),
		remote.WithRemotingDialTimeout(dialTimeout),
	}
	if config.ClientTLS != nil {
		options = append(options, remote.WithRemotingTLS(config.ClientTLS))
	}
	roles := slices.Clone(config.Roles)
	slices.Sort(roles)
	self := cluster.ID{Host: system.Host(), Port: system.Port(), Epoch: epoch}
	return &ClusterSession{
		config:  config,
		system:  system,
		self:    cluster.Member{ID: self, Roles: roles},
		clients: newClients(options),
	}
}

func gatewayAddress(config *ClusterConfig, id cluster.ID) *address.Address {
	return address.New(gatewayName(id.Epoch), config.Name, id.Host, id.Port)
}

// System returns the actor system of the membership.
func (s *ClusterSession) System() goakt.ActorSystem { return s.system }

// Self is this node as the others know it.
func (s *ClusterSession) Self() cluster.Member { return s.self }

// Peers returns the other members. GoAkt's call may outlast its context.
func (s *ClusterSession) Peers(ctx context.Context) ([]cluster.Member, error) {
	deadline, _ := ctx.Deadline()
	peers, err := guarded(ctx, func() ([]*remote.Peer, error) { return s.system.Peers(ctx, time.Until(deadline)) })
	if err != nil {
		return nil, err
	}
	members := make([]cluster.Member, 0, len(peers))
	for _, p := range peers {
		if member, ok := memberOf(p); ok {
			members = append(members, member)
		}
	}
	return members, nil
}

// memberOf returns the member that a peer of GoAkt is. It is false for one that runs no engine of this version.
func memberOf(p *remote.Peer) (cluster.Member, bool) {
	member := cluster.Member{ID: cluster.ID{Host: p.Host, Port: p.RemotingPort}}
	for _, role := range p.Roles {
		if epoch, ok := strings.CutPrefix(role, RolePrefix); ok {
			member.Epoch = epoch
		} else {
			member.Roles = append(member.Roles, role)
		}
	}
	slices.Sort(member.Roles)
	return member, member.Epoch != ""
}

// Send tells the gateway of a node.
func (s *ClusterSession) Send(ctx context.Context, to cluster.ID, batch *egopb.ClusterBatch) error {
	client, err := s.clients.get(to)
	if err != nil {
		return err
	}
	_, err = guarded(ctx, func() (struct{}, error) {
		sender := gatewayAddress(s.config, s.self.ID) // an address remembers its text, so goroutines must not share one
		return struct{}{}, client.RemoteTell(ctx, sender, gatewayAddress(s.config, to), batch)
	})
	if err == nil {
		return nil
	}
	s.clients.drop(to, client)
	var dial *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, gerrors.ErrAddressNotFound):
		return fmt.Errorf("%w: %w", cluster.ErrGone, err)
	case errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("%w: %w", cluster.ErrNotDelivered, err)
	}
	return err
}

// Forget closes the connections to a run of a node.
func (s *ClusterSession) Forget(id cluster.ID) { s.clients.forget(id) }

// guarded calls something of GoAkt's that may ignore its context. What outlasts the context ends by itself.
func guarded[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if value := recover(); value != nil {
				r.err = fmt.Errorf("ego: a call of the actor system panicked: %v", value)
			}
			done <- r
		}()
		r.value, r.err = call()
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// Leave stops the actor system. GoAkt reports a failure, and logs it, when it could not take the names of this node out of
// its registry, as when the member that keeps them has just died. No run of a node has the names of another, so nobody
// misses that: what counts is that nothing runs any more and the ports are free.
func (s *ClusterSession) Leave(ctx context.Context) error {
	s.clients.close()
	_, err := guarded(ctx, func() (struct{}, error) { return struct{}{}, stopSystem(s.system) })
	if err != nil && ctx.Err() == nil && !s.system.Running() && s.config.checkPorts(ctx) == nil {
		return nil
	}
	return err
}
